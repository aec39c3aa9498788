// Captures as files that tcpdump and wireshark read: the classic format with nanoseconds (magic 0xa1b23c4d), Ethernet.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static inline FILE* pcap_open(const char* path) {
  FILE* file = fopen(path, "wb");
  const struct { uint32_t magic; uint16_t major, minor; uint32_t zone, accuracy, longest, kind; } header = {
      0xa1b23c4d, 2, 4, 0, 0, 262144, 1};
  if (file) fwrite(&header, sizeof header, 1, file);
  return file;
}

static inline void pcap_write(FILE* file, const void* frame, uint32_t bytes) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const uint32_t header[4] = {(uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, bytes, bytes};
  fwrite(header, sizeof header, 1, file);
  fwrite(frame, bytes, 1, file);
}
