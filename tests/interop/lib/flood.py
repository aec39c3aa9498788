# Sends COUNT packets each of SYNs, UDP and first fragments to HOST, from random addresses of 10.0.0.0/24 and random ports.
import random, socket, struct, sys

host, count = sys.argv[1], int(sys.argv[2])
random.seed(7)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
to = socket.inet_aton(host)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(protocol, payload, source, fragment=0):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, random.randrange(65536), fragment, 64, protocol, 0, source, to)
    try:
        raw.sendto(header + payload, (host, 0))
    except OSError:
        pass


for _ in range(count):
    source = bytes([10, 0, 0, random.randrange(20, 250)])
    ports = random.randrange(1024, 65536), random.randrange(1, 65536)
    syn = struct.pack("!HHIIBBHHH", *ports, random.randrange(1 << 32), 0, 0x50, 2, 1000, 0, 0)
    total = checksum(source + to + struct.pack("!BBH", 0, 6, 20) + syn)
    send(6, syn[:16] + struct.pack("!H", total) + syn[18:], source)
    send(17, struct.pack("!HHHH", *ports, 16, 0) + b"floodfld", source)
    send(17, struct.pack("!HHHH", *ports, 64, 0) + b"floodfld", source, 0x2000)
print("sent", 3 * count)
