// What a router does with frames: sends them on one of two links and looks what comes out of the other, or comes back.
//
//   judge NEAR FAR GAP_US < FRAMES        FRAMES: a line each, "0 HEX" (sent on NEAR) or "1 HEX" (on FAR)
//
// Prints a character for each frame, in order: 'a' it was forwarded, 'r' it was answered (RST or ICMP unreachable), '.' neither.
// A frame's number, from 1, stands in the IPv4 identification or the IPv6 flow label, and for TCP in the sequence number (<< 8).
// ARP requests and neighbour solicitations on either link are answered, whatever they ask for: every host is us.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAMES 70000
static char verdict[FRAMES];
static int side_of[FRAMES];
static unsigned frames;
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x99};

static int open_link(const char* name) {
  int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), bytes = 4 << 20;
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
  setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  if (s < 0 || at.sll_ifindex == 0 || bind(s, (struct sockaddr*)&at, sizeof at) < 0) {
    perror(name);
    exit(1);
  }
  return s;
}

static void mark(uint32_t number, int side, char what) {
  uint32_t index = number - 1;
  if (index >= frames || verdict[index] == 'a') return;
  if (what == 'a' ? side == side_of[index] : side != side_of[index]) return;
  verdict[index] = what;
}

static uint16_t sum16(const uint8_t* at, size_t bytes, uint32_t sum) {
  for (; bytes > 1; at += 2, bytes -= 2) sum += (uint32_t)(at[0] << 8 | at[1]);
  if (bytes) sum += (uint32_t)at[0] << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static void answer_arp(int s, uint8_t* f) {
  uint8_t asked[4];
  memcpy(asked, f + 38, 4);
  if (f[21] != 1 || !memcmp(f + 28, asked, 4)) return; // only questions, and not about the asker itself
  memcpy(f, f + 6, 6);
  memcpy(f + 6, mac, 6);
  f[21] = 2;
  memcpy(f + 32, f + 22, 10);
  memcpy(f + 22, mac, 6);
  memcpy(f + 28, asked, 4);
  if (send(s, f, 42, 0) < 0) perror("arp");
}

static void answer_nd(int s, uint8_t* f) {
  uint8_t target[16], asker[16];
  memcpy(target, f + 62, 16);
  memcpy(asker, f + 22, 16);
  static const uint8_t none[16];
  if (!memcmp(asker, none, 16)) return; // it looks whether its own address is free
  memcpy(f, f + 6, 6);
  memcpy(f + 6, mac, 6);
  memcpy(f + 22, target, 16);
  memcpy(f + 38, asker, 16);
  f[54] = 136;
  f[55] = f[56] = f[57] = 0;
  memset(f + 58, 0, 4);
  f[58] = 0x60;
  f[78] = 2;
  f[79] = 1;
  memcpy(f + 80, mac, 6);
  f[18] = 0;
  f[19] = 32;
  uint16_t sum = sum16(f + 22, 64, 32 + 58);
  f[56] = (uint8_t)(sum >> 8);
  f[57] = (uint8_t)sum;
  if (send(s, f, 86, 0) < 0) perror("nd");
}

static uint32_t number(const uint8_t* ip) {
  return ip[0] >> 4 == 4 ? (uint32_t)(ip[4] << 8 | ip[5]) : (uint32_t)((ip[1] & 15) << 16 | ip[2] << 8 | ip[3]);
}

static void take(int s, int side, uint8_t* f, ssize_t n) {
  if (n < 42) return;
  unsigned type = (unsigned)(f[12] << 8 | f[13]);
  if (type == 0x806) {
    answer_arp(s, f);
    return;
  }
  const uint8_t* ip = f + 14;
  unsigned l4 = 0, protocol = 0;
  if (type == 0x800) {
    l4 = (unsigned)(ip[0] & 15) * 4;
    protocol = ip[9];
  } else if (type == 0x86dd && n >= 62) {
    l4 = 40;
    protocol = ip[6];
  } else {
    return;
  }
  if (n < (ssize_t)(14 + l4 + 8)) return;
  const uint8_t* t = ip + l4;
  if (protocol == 58 && t[0] == 135 && n >= 78) {
    answer_nd(s, f);
    return;
  }
  int error = (protocol == 1 && t[0] == 3) || (protocol == 58 && t[0] == 1);
  if (error && n >= (ssize_t)(14 + l4 + 8 + 20)) {
    mark(number(t + 8), side, 'r');
    return;
  }
  if (protocol == 6 && n >= (ssize_t)(14 + l4 + 20) && (t[13] & 4)) {
    // It acknowledges the SYN and the 8 bytes behind it.
    uint32_t ack = (uint32_t)t[8] << 24 | (uint32_t)t[9] << 16 | (uint32_t)t[10] << 8 | t[11];
    mark((ack - 9) >> 8, side, 'r');
    return;
  }
  if (memcmp(f + 6, mac, 6) != 0) mark(number(ip), side, 'a');
}

static void listen_for(int* link, long us) {
  struct timespec now, end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_nsec += us % 1000000 * 1000;
  end.tv_sec += us / 1000000 + end.tv_nsec / 1000000000;
  end.tv_nsec %= 1000000000;
  for (;;) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    long left = (end.tv_sec - now.tv_sec) * 1000000 + (end.tv_nsec - now.tv_nsec) / 1000;
    if (left <= 0) return;
    struct pollfd fds[2] = {{link[0], POLLIN, 0}, {link[1], POLLIN, 0}};
    struct timespec wait = {left / 1000000, left % 1000000 * 1000};
    if (ppoll(fds, 2, &wait, NULL) <= 0) continue;
    for (int side = 0; side < 2; side++) {
      uint8_t f[4096];
      struct sockaddr_ll from;
      socklen_t bytes = sizeof from;
      ssize_t n;
      while ((n = recvfrom(link[side], f, sizeof f, MSG_DONTWAIT, (struct sockaddr*)&from, &bytes)) > 0)
        if (from.sll_pkttype != PACKET_OUTGOING) take(link[side], side, f, n);
    }
  }
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  int link[2] = {open_link(argv[1]), open_link(argv[2])};
  long gap_us = atol(argv[3]);
  static char line[8192];
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) && frames < FRAMES) {
    uint8_t f[2048];
    size_t n = 0;
    unsigned byte;
    for (char* at = line + 2; n < sizeof f && sscanf(at, "%2x", &byte) == 1; at += 2) f[n++] = (uint8_t)byte;
    int side = line[0] - '0';
    side_of[frames] = side;
    verdict[frames++] = '.';
    if (send(link[side], f, n, 0) < 0) perror("send");
    listen_for(link, gap_us);
  }
  listen_for(link, 1500000);
  fwrite(verdict, 1, frames, stdout);
  puts("");
  return 0;
}
