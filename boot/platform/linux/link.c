// A network link of the hosted image: a TAP device with IFF_VNET_HDR or an AF_PACKET socket with PACKET_VNET_HDR. Both
// give and take whole Ethernet frames behind the virtio-net header, with the offloads that the header describes.
//
// The header that the driver sees is always 12 bytes. AF_PACKET's has 10: the gather list then leaves out the two bytes of
// `buffers`. A kernel without PACKET_VNET_HDR gets none, and no offload is offered.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include "host.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define OFFLOADS_TO_DRIVER (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6)
#define OFFLOADS_TO_KERNEL (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6)

// A stable address where none was given: from this host and the interface's name (FNV-1a), locally administered.
static void derive_mac(struct link* link) {
  char text[64] = "";
  int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    if (read(fd, text, 32) < 0) text[0] = 0;
    close(fd);
  }
  strcat(text, link->name);
  u64 hash = 0xcbf29ce484222325ull;
  for (const char* c = text; *c; c++) hash = (hash ^ (u8)*c) * 0x100000001b3ull;
  for (int i = 0; i < 6; i++) link->mac[i] = (u8)(hash >> (8 * i + 8));
  link->mac[0] = (link->mac[0] & 0xfc) | 2;
}

static int request(const char* name, unsigned long code, struct ifreq* ifr) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  strcpy(ifr->ifr_name, name);
  int result = ioctl(fd, code, ifr);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

static void read_mtu(struct link* link) {
  struct ifreq ifr = {0};
  if (request(link->name, SIOCGIFMTU, &ifr)) fail("%s: cannot read its MTU: %s", link->name, strerror(errno));
  link->mtu_bytes = (u32)ifr.ifr_mtu;
}

static void bring_up(struct link* link) {
  struct ifreq ifr = {0};
  if (request(link->name, SIOCGIFFLAGS, &ifr)) fail("%s: %s", link->name, strerror(errno));
  if (ifr.ifr_flags & IFF_UP) return;
  ifr.ifr_flags |= IFF_UP;
  if (request(link->name, SIOCSIFFLAGS, &ifr)) fail("%s: is down; do: sudo ip link set %s up", link->name, link->name);
}

// A device keeps the kind it was made as: with one queue or with several. What fits the cores is tried first.
static int set_interface(struct link* link, bool several) {
  struct ifreq ifr = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several ? IFF_MULTI_QUEUE : 0))};
  strcpy(ifr.ifr_name, link->name);
  return ioctl(link->fd, TUNSETIFF, &ifr);
}

static void detach(struct link* queue) {
  struct ifreq ifr = {.ifr_flags = IFF_DETACH_QUEUE};
  if (ioctl(queue->fd, TUNSETQUEUE, &ifr)) fail("%s: cannot detach a queue: %s", queue->name, strerror(errno));
}

bool link_attach(struct link* queue) {
  struct ifreq ifr = {.ifr_flags = IFF_ATTACH_QUEUE};
  return !ioctl(queue->fd, TUNSETQUEUE, &ifr);
}

// A queue for each further core, detached until that core takes it.
static void open_queues(struct link* link) {
  for (u32 i = 1; i < link->wanted; i++) {
    struct link* queue = calloc(1, sizeof *queue);
    if (!queue) fail("no memory for %s", link->name);
    *queue = *link;
    queue->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int header = NET_HEADER_BYTES;
    if (queue->fd < 0 || set_interface(queue, true) || ioctl(queue->fd, TUNSETVNETHDRSZ, &header))
      fail("%s: queue %u: %s", link->name, i, strerror(errno));
    detach(queue);
    link->more[i] = queue;
    link->pairs = i + 1;
  }
}

static void open_tap(struct link* link) {
  link->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (link->fd < 0 && errno == ENOENT) fail("/dev/net/tun is missing; do: sudo modprobe tun");
  if (link->fd < 0) fail("/dev/net/tun: %s; do: sudo chmod 666 /dev/net/tun", strerror(errno));
  bool several = link->wanted > 1;
  if (set_interface(link, several) && (errno != EINVAL || set_interface(link, several = !several))) switch (errno) {
      case EPERM:
        fail("%s: no permission; do: sudo ip tuntap add %s mode tap user $USER && sudo ip link set %s up", link->name, link->name,
             link->name);
      case EBUSY: fail("%s: another process uses it; stop that one or take another TAP device", link->name);
      case EINVAL: fail("%s: is not a TAP device; do: sudo ip tuntap add NAME mode tap, and use that", link->name);
      default: fail("%s: %s", link->name, strerror(errno));
    }
  int header = NET_HEADER_BYTES;
  if (ioctl(link->fd, TUNSETVNETHDRSZ, &header)) fail("%s: TUNSETVNETHDRSZ: %s", link->name, strerror(errno));
  link->header_bytes = NET_HEADER_BYTES;
  if (several) open_queues(link);
  bring_up(link);
  if (!link->has_mac) derive_mac(link);
}

static void open_packet(struct link* link) {
  link->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (link->fd < 0)
    fail("%s: no permission for AF_PACKET; run as root or inside `unshare -Urn`", link->name);
  struct ifreq ifr = {0};
  if (request(link->name, SIOCGIFINDEX, &ifr)) fail("%s: no such interface; `ip link` lists them", link->name);
  int index = ifr.ifr_ifindex;
  bring_up(link);
  int on = 1;
  link->header_bytes = setsockopt(link->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) ? 0 : NET_HEADER_BYTES - 2;
  // The socket takes VLAN tags out of frames; the auxiliary data tell which one it was.
  if (setsockopt(link->fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on)) fail("%s: PACKET_AUXDATA: %s", link->name, strerror(errno));
  if (setsockopt(link->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on))
    fail("%s: PACKET_IGNORE_OUTGOING: %s; Linux 4.20 or later is needed", link->name, strerror(errno));
  int buffer = 4 << 20;  // a burst of large frames; the kernel caps it without complaint
  setsockopt(link->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  setsockopt(link->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  struct packet_mreq promiscuous = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(link->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous))
    fail("%s: cannot receive for other addresses: %s", link->name, strerror(errno));
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
  if (bind(link->fd, (struct sockaddr*)&address, sizeof address)) fail("%s: %s", link->name, strerror(errno));
  if (!link->has_mac) {
    struct ifreq hardware = {0};
    if (request(link->name, SIOCGIFHWADDR, &hardware)) fail("%s: %s", link->name, strerror(errno));
    memcpy(link->mac, hardware.ifr_hwaddr.sa_data, 6);
  }
}

void link_open(struct link* link) {
  link->pairs = 1;
  if (link->kind == LINK_TAP) open_tap(link);
  else open_packet(link);
  read_mtu(link);
  link->offered = VIRTIO_NET_F_MAC | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_VERSION_1;
  if (link->header_bytes) link->offered |= OFFLOADS_TO_DRIVER | OFFLOADS_TO_KERNEL;
  if (link->pairs > 1) link->offered |= VIRTIO_NET_F_MQ;
  for (u32 i = 1; i < link->pairs; i++) {
    link->more[i]->header_bytes = link->header_bytes;
    link->more[i]->mtu_bytes = link->mtu_bytes;
  }
  link_accept(link, 0);
}

bool link_accept(struct link* link, u64 features) {
  if (features & ~link->offered) return false;
  if (link->kind == LINK_TAP) {
    unsigned long offload = 0;
    if (features & VIRTIO_NET_F_GUEST_CSUM) {
      offload |= TUN_F_CSUM;
      if (features & VIRTIO_NET_F_GUEST_TSO4) offload |= TUN_F_TSO4;
      if (features & VIRTIO_NET_F_GUEST_TSO6) offload |= TUN_F_TSO6;
    }
    if (ioctl(link->fd, TUNSETOFFLOAD, offload)) return false;
  }
  link->accepted = features;
  for (u32 i = 1; i < link->pairs; i++) link->more[i]->accepted = features;
  return true;
}

// Makes the first element of a list cover only the `header_bytes` that the kernel knows; false when it is too short.
static bool cut_header(const struct link* link, struct iovec** parts, int* count) {
  struct iovec* first = *parts;
  if (*count == 0 || first->iov_len < NET_HEADER_BYTES) return false;
  if (link->header_bytes == NET_HEADER_BYTES) return true;
  struct iovec rest = {(u8*)first->iov_base + NET_HEADER_BYTES, first->iov_len - NET_HEADER_BYTES};
  if (link->header_bytes == 0) {
    *first = rest;
    return true;
  }
  memmove(first + 2, first + 1, (size_t)(*count - 1) * sizeof *first);
  first[0].iov_len = link->header_bytes;
  first[1] = rest;
  *count += 1;
  return true;
}

enum link_result link_send(struct link* link, struct iovec* parts, int count) {
  if (!cut_header(link, &parts, &count)) return LINK_LOST;
  for (;;) {
    if (writev(link->fd, parts, count) >= 0) return LINK_DONE;
    if (errno == EINTR) continue;
    return errno == EAGAIN ? LINK_AGAIN : LINK_LOST;
  }
}

enum link_result link_receive(struct link* link, struct iovec* parts, int count, u64 room, u32* bytes) {
  struct net_header* header = parts->iov_base;
  if (!cut_header(link, &parts, &count)) return LINK_LOST;
  union {
    struct cmsghdr align;
    u8 bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
  } control;
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count, .msg_control = control.bytes, .msg_controllen = sizeof control};
  ssize_t got;
  do got = link->kind == LINK_TAP ? readv(link->fd, parts, count) : recvmsg(link->fd, &message, 0);
  while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (link->kind == LINK_TAP && errno == EBADFD) link->gone = true;
    return LINK_AGAIN;
  }
  *bytes = (u32)got + NET_HEADER_BYTES - link->header_bytes;
  if (*bytes > room || (message.msg_flags & MSG_TRUNC)) {
    link->lost_long++;
    return LINK_LOST;
  }
  if (*bytes < NET_HEADER_BYTES + ETH_HLEN) return LINK_LOST;
  if (!link->header_bytes) memset(header, 0, sizeof *header);
  if (link->kind == LINK_TAP) return LINK_DONE;

  bool tagged = false;
  struct vlan_tag tag = {ETH_P_8021Q, 0};
  for (struct cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    struct tpacket_auxdata auxiliary;
    if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
    memcpy(&auxiliary, CMSG_DATA(c), sizeof auxiliary);
    tagged = auxiliary.tp_status & TP_STATUS_VLAN_VALID;
    tag.tci = auxiliary.tp_vlan_tci;
    if (auxiliary.tp_status & TP_STATUS_VLAN_TPID_VALID) tag.tpid = auxiliary.tp_vlan_tpid;
  }
  header->gso_type &= 0x7f;  // without the ECN mark, which is not negotiated: it only concerns CWR in segments
  bool segments = header->gso_type != 0;
  u64 offload = header->gso_type == 1 ? VIRTIO_NET_F_GUEST_TSO4 : header->gso_type == 4 ? VIRTIO_NET_F_GUEST_TSO6 : 0;
  if (segments && !(link->accepted & offload)) {
    // TAP devices segment for a driver that cannot take it; nobody does so for AF_PACKET.
    if (!link->lost_offload++)
      fprintf(stderr, "heddle: %s: large frames lost; do at the other end: ethtool -K IF tso off gso off\n", link->name);
    return LINK_LOST;
  }
  bool checksum = (header->flags & NET_HEADER_NEEDS_CSUM) && !(link->accepted & VIRTIO_NET_F_GUEST_CSUM);
  if (!tagged && !checksum) return LINK_DONE;
  return packet_repair(link, header, parts, count, room, bytes, tagged ? &tag : NULL) ? LINK_DONE : LINK_LOST;
}
