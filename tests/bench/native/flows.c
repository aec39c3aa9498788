// Flows for the benches of firewall and balancer: few, many, or a new one for each packet.
//
//   flows sink PORT                          counts UDP packets until none has come for a second, prints how many
//   flows send ADDRESS PORT COUNT GAP_US     sends UDP packets of 18 bytes in one flow, so many microseconds apart (0: at once)
//   flows fresh ADDRESS PORT COUNT GAP_US    the same, each in a flow of its own (source port)
//   flows serve PORT                         accepts TCP connections and ends them
//   flows connect ADDRESS PORT COUNT         opens so many, one after the other, and waits for the end of each
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void fail(const char* what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in address(const char* host, const char* port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  if (inet_pton(AF_INET, host, &a.sin_addr) != 1) fail(host);
  return a;
}

static int bound(int type, const char* port) {
  struct sockaddr_in a = address("0.0.0.0", port);
  int s = socket(AF_INET, type, 0), on = 1, bytes = 8 << 20;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  if (s < 0 || bind(s, (struct sockaddr*)&a, sizeof a) < 0) fail("bind");
  return s;
}

static void sink(const char* port) {
  int s = bound(SOCK_DGRAM, port);
  char buffer[2048];
  long count = 0;
  struct timeval patience = {10, 0};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  puts("ready");
  fflush(stdout);
  patience.tv_sec = 1;
  for (; recv(s, buffer, sizeof buffer, 0) >= 0; count++)
    if (count == 0) setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  printf("received %ld\n", count);
}

static void send_all(char** argv, int fresh) {
  struct sockaddr_in to = address(argv[2], argv[3]);
  long count = atol(argv[4]), gap_us = atol(argv[5]);
  char payload[18] = {0};
  int s = -1;
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (long i = 0; i < count; i++) {
    if (s < 0 || fresh) {
      if (s >= 0) close(s);
      s = socket(AF_INET, SOCK_DGRAM, 0);
      if (fresh) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(1024 + i % 60000))};
        if (bind(s, (struct sockaddr*)&from, sizeof from) < 0) continue;
      }
    }
    sendto(s, payload, sizeof payload, 0, (struct sockaddr*)&to, sizeof to);
    if (gap_us == 0) continue;
    next.tv_nsec += gap_us * 1000;
    next.tv_sec += next.tv_nsec / 1000000000;
    next.tv_nsec %= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
  }
}

static void serve(const char* port) {
  int s = bound(SOCK_STREAM, port);
  if (listen(s, 512) < 0) fail("listen");
  puts("ready");
  fflush(stdout);
  for (;;) {
    int c = accept(s, NULL, NULL);
    if (c >= 0) close(c);
  }
}

static void connect_all(char** argv) {
  struct sockaddr_in to = address(argv[2], argv[3]);
  long done = 0;
  for (long i = atol(argv[4]); i > 0; i--) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    char byte;
    if (connect(s, (struct sockaddr*)&to, sizeof to) == 0 && read(s, &byte, 1) == 0) done++;
    close(s);
  }
  printf("connected %ld\n", done);
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "sink") && argc == 3) sink(argv[2]);
  else if (!strcmp(what, "send") && argc == 6) send_all(argv, 0);
  else if (!strcmp(what, "fresh") && argc == 6) send_all(argv, 1);
  else if (!strcmp(what, "serve") && argc == 3) serve(argv[2]);
  else if (!strcmp(what, "connect") && argc == 5) connect_all(argv);
  else {
    fputs("usage: flows sink PORT | send|fresh ADDRESS PORT COUNT GAP_US | serve PORT | connect ADDRESS PORT COUNT\n", stderr);
    return 2;
  }
  return 0;
}
