// A wire between two network devices that can be bad on purpose (impairment.h). Devices are opened as the hosted platform
// opens them (boot/platform/linux/link.c) with no offload accepted: the kernel hands over single, complete frames.
//
//   relay [OPTION]... tap:NAME|packet:NAME tap:NAME|packet:NAME      (side A, side B)
//
// It prints "ready" when both sides are open, and its counters as one line of JSON when it is ended by SIGTERM or SIGINT.
#define _GNU_SOURCE
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../../boot/platform/linux/host.h"
#include "impairment.h"
#include "pcap.h"

#define FRAME_BUFFER_BYTES (NET_HEADER_BYTES + FRAME_MAX_BYTES)
#define WAITING_MAX 65536
#define BATCH 64
#define TAG_BYTES 4u
#define ETHERNET_TYPE_AT 12u

struct waiting {
  u64 departure_us, number;   // equal times leave in the order of arrival
  u32 to, bytes;
  u8* data;
};

static struct link sides[2];
static struct impairment configuration[2];     // [0]: A to B, [1]: B to A
static struct impairment_link directions[2];
static u64 overflowed, vlan_dropped, refused;
static u32 vlan_id;                            // 0: none; frames on side B carry this tag
static u64 seed = 1;
static FILE* pcap;
static volatile sig_atomic_t stopping;

// A binary heap, the earliest departure first.
static struct waiting heap[WAITING_MAX];
static u32 heap_count;
static u64 next_number;

_Noreturn void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("relay: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static u64 now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (u64)now.tv_sec * 1000000 + (u64)now.tv_nsec / 1000;
}

static bool earlier(const struct waiting* a, const struct waiting* b) {
  return a->departure_us != b->departure_us ? a->departure_us < b->departure_us : a->number < b->number;
}

static void push(struct waiting item) {
  if (heap_count == WAITING_MAX) {
    overflowed++;
    free(item.data);
    return;
  }
  u32 at = heap_count++;
  for (; at && earlier(&item, &heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
  heap[at] = item;
}

static struct waiting pop(void) {
  struct waiting first = heap[0], last = heap[--heap_count];
  u32 at = 0;
  for (u32 child; (child = 2 * at + 1) < heap_count; at = child) {
    if (child + 1 < heap_count && earlier(&heap[child + 1], &heap[child])) child++;
    if (!earlier(&heap[child], &last)) break;
    heap[at] = heap[child];
  }
  heap[at] = last;
  return first;
}

static bool tagged(const u8* frame, u32 bytes) { return bytes >= 18 && frame[ETHERNET_TYPE_AT] == 0x81 && frame[ETHERNET_TYPE_AT + 1] == 0; }

// Side B is a trunk with one VLAN: frames get their tag on the way there and lose it on the way back. Returns the frame's
// new length, 0 when it does not belong to the VLAN. There is room for a tag behind the frame.
static u32 translate_vlan(u32 to, u8* frame, u32 bytes) {
  if (!vlan_id) return bytes;
  u8* at = frame + ETHERNET_TYPE_AT;
  if (to == 1) {
    memmove(at + TAG_BYTES, at, bytes - ETHERNET_TYPE_AT);
    at[0] = 0x81, at[1] = 0, at[2] = (u8)(vlan_id >> 8), at[3] = (u8)vlan_id;
    return bytes + TAG_BYTES;
  }
  if (!tagged(frame, bytes) || ((u32)(at[2] & 15) << 8 | at[3]) != vlan_id) return 0;
  memmove(at, at + TAG_BYTES, bytes - ETHERNET_TYPE_AT - TAG_BYTES);
  return bytes - TAG_BYTES;
}

static void accept_frames(u32 from) {
  static u8 buffer[FRAME_BUFFER_BYTES + TAG_BYTES];
  u32 to = 1 - from;
  for (u32 n = 0; n < BATCH; n++) {
    struct iovec parts[3] = {{buffer, FRAME_BUFFER_BYTES}};
    u32 bytes;
    enum link_result result = link_receive(&sides[from], parts, 1, FRAME_BUFFER_BYTES, &bytes);
    if (result == LINK_AGAIN) return;
    if (result == LINK_LOST) continue;
    u8* frame = buffer + NET_HEADER_BYTES;
    bytes = translate_vlan(to, frame, bytes - NET_HEADER_BYTES);
    if (!bytes) {
      vlan_dropped++;
      continue;
    }
    struct impairment_verdict verdict = impairment_judge(&directions[from], now_us(), bytes, tagged(frame, bytes));
    if (verdict.flipped_bit) frame[verdict.flipped_bit / 8] ^= (u8)(1 << verdict.flipped_bit % 8);
    for (u32 copy = 0; copy < verdict.copies; copy++) {
      u8* data = malloc(NET_HEADER_BYTES + bytes);
      if (!data) fail("out of memory");
      memset(data, 0, NET_HEADER_BYTES);
      memcpy(data + NET_HEADER_BYTES, frame, bytes);
      push((struct waiting){verdict.departure_us, next_number++, to, bytes, data});
    }
  }
}

static void send_due(u64 now) {
  while (heap_count && heap[0].departure_us <= now) {
    struct waiting item = pop();
    if (pcap) pcap_write(pcap, item.data + NET_HEADER_BYTES, item.bytes);
    struct iovec parts[3] = {{item.data, NET_HEADER_BYTES + item.bytes}};
    if (link_send(&sides[item.to], parts, 1) != LINK_DONE) refused++;
    free(item.data);
  }
}

static void print_direction(const char* name, const struct impairment_counters* c) {
  printf("\"%s\":{\"frames\":%llu,\"passed\":%llu,\"loss\":%llu,\"burst\":%llu,\"mtu\":%llu,\"queue\":%llu,\"corrupted\":%llu,"
         "\"duplicated\":%llu,\"reordered\":%llu},",
         name, (unsigned long long)c->frames, (unsigned long long)c->passed, (unsigned long long)c->loss, (unsigned long long)c->burst,
         (unsigned long long)c->mtu, (unsigned long long)c->queue, (unsigned long long)c->corrupted,
         (unsigned long long)c->duplicated, (unsigned long long)c->reordered);
}

static const char usage[] =
    "Usage: relay [OPTION]... SIDE SIDE\n"
    "Relays frames between two sides, A and B, each tap:NAME or packet:NAME.\n"
    "\n"
    "Impairments; P is a share like 2%% or 0.02, T a time like 5ms. Those after --ab (--ba) are only for that direction.\n"
    "  --loss P              each frame is lost with this probability\n"
    "  --burst P,P[,P]       Gilbert-Elliott: bursts begin, end, and lose (default 100%%) with these probabilities\n"
    "  --duplicate P         frames are sent twice\n"
    "  --reorder P[,T]       frames are held back by T (default 5ms), so that others overtake them\n"
    "  --corrupt P           a bit is flipped\n"
    "  --delay T             every frame is late by T\n"
    "  --jitter T            and by up to T more; the order is kept\n"
    "  --rate N              bits a second, with k, M or G; --queue T (default 100ms) is what may wait\n"
    "  --mtu N               larger payloads are dropped without a word\n"
    "  --ab, --ba, --both    which direction the options that follow are for (default: both)\n"
    "  --vlan ID             frames on side B carry this VLAN tag\n"
    "  --seed N              the same seed gives the same decisions (default 1)\n"
    "  --pcap FILE           writes what is sent, as it is sent\n";

static u64 parse_share(const char* text, char** end) {
  double value = strtod(text, end);
  if (**end == '%') value /= 100, ++*end;
  if (*end == text || !(value >= 0 && value <= 1)) fail("%s: not a share from 0%% to 100%%", text);
  return (u64)(value * (double)IMPAIRMENT_CERTAIN);
}

static u64 parse_whole_share(const char* text) {
  char* end;
  u64 value = parse_share(text, &end);
  if (*end) fail("%s: not a share", text);
  return value;
}

static u64 parse_time_us(const char* text) {
  char* end;
  double value = strtod(text, &end);
  double unit = !strcmp(end, "us") ? 1 : !strcmp(end, "ms") ? 1e3 : !strcmp(end, "s") ? 1e6 : 0;
  if (end == text || !unit || !(value >= 0 && value * unit < 1e12)) fail("%s: not a time like 5ms", text);
  return (u64)(value * unit);
}

static u64 parse_number(const char* text, u64 limit) {
  char* end;
  double value = strtod(text, &end);
  double unit = !*end ? 1 : !strcmp(end, "k") ? 1e3 : !strcmp(end, "M") ? 1e6 : !strcmp(end, "G") ? 1e9 : 0;
  if (end == text || !unit || !(value >= 0 && value * unit <= (double)limit)) fail("%s: not a number up to %llu", text, (unsigned long long)limit);
  return (u64)(value * unit);
}

static void parse_side(struct link* side, const char* text) {
  if (!strncmp(text, "tap:", 4)) side->kind = LINK_TAP, text += 4;
  else if (!strncmp(text, "packet:", 7)) side->kind = LINK_PACKET, text += 7;
  else fail("%s: a side is tap:NAME or packet:NAME", text);
  if (!*text || strlen(text) >= IFNAMSIZ) fail("%s: not the name of an interface", text);
  strcpy(side->name, text);
  link_open(side);
}

static void set(struct impairment* c, int key, char* text) {
  char* end;
  switch (key) {
    case 'l': c->loss = parse_whole_share(text); break;
    case 'd': c->duplicate = parse_whole_share(text); break;
    case 'c': c->corrupt = parse_whole_share(text); break;
    case 'D': c->delay_us = parse_time_us(text); break;
    case 'j': c->jitter_us = parse_time_us(text); break;
    case 'R': c->rate_bps = parse_number(text, 1000000000000ull); break;
    case 'q': c->queue_us = parse_time_us(text); break;
    case 'm': c->mtu_bytes = (u32)parse_number(text, 65535); break;
    case 'r':
      c->reorder = parse_share(text, &end);
      c->reorder_us = *end == ',' ? parse_time_us(end + 1) : 5000;
      if (*end && *end != ',') fail("--reorder %s: not a share, or a share and a time", text);
      break;
    case 'b':
      c->burst_enter = parse_share(text, &end);
      if (*end != ',') fail("--burst %s: give two or three shares", text);
      c->burst_leave = parse_share(end + 1, &end);
      c->burst_loss = *end == ',' ? parse_whole_share(end + 1) : IMPAIRMENT_CERTAIN;
      if (*end && *end != ',') fail("--burst %s: give two or three shares", text);
      break;
    default: exit(1);  // getopt has said why
  }
}

static void on_stop(int signal) {
  (void)signal;
  stopping = 1;
}

static void parse(int argc, char** argv) {
  static const struct option known[] = {
      {"loss", 1, 0, 'l'},   {"burst", 1, 0, 'b'}, {"duplicate", 1, 0, 'd'}, {"reorder", 1, 0, 'r'}, {"corrupt", 1, 0, 'c'},
      {"delay", 1, 0, 'D'},  {"jitter", 1, 0, 'j'}, {"rate", 1, 0, 'R'},     {"queue", 1, 0, 'q'},   {"mtu", 1, 0, 'm'},
      {"ab", 0, 0, '1'},     {"ba", 0, 0, '2'},    {"both", 0, 0, '3'},      {"vlan", 1, 0, 'v'},    {"seed", 1, 0, 's'},
      {"pcap", 1, 0, 'p'},   {"help", 0, 0, 'h'},  {0, 0, 0, 0}};
  u32 chosen = 3;
  configuration[0].queue_us = configuration[1].queue_us = 100000;
  int key;
  while ((key = getopt_long(argc, argv, "h", known, NULL)) != -1) switch (key) {
      case '1': case '2': case '3': chosen = (u32)(key - '0'); break;
      case 'v':
        vlan_id = (u32)parse_number(optarg, 4094);
        if (!vlan_id) fail("--vlan %s: an identifier from 1 to 4094", optarg);
        break;
      case 's': seed = parse_number(optarg, 1ull << 53); break;
      case 'p':
        if (!(pcap = pcap_open(optarg))) fail("--pcap %s: cannot be written", optarg);
        break;
      case 'h': printf(usage); exit(0);
      default:
        for (u32 d = 0; d < 2; d++)
          if (chosen & 1u << d) set(&configuration[d], key, optarg);
    }
  if (argc - optind != 2) fail("give two sides; try relay --help");
  for (u32 d = 0; d < 2; d++) {
    parse_side(&sides[d], argv[optind + (int)d]);
    impairment_start(&directions[d], &configuration[d], seed, d);
  }
}

int main(int argc, char** argv) {
  parse(argc, argv);
  sigset_t stops, none;
  sigemptyset(&none);
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  sigprocmask(SIG_BLOCK, &stops, NULL);  // taken only inside ppoll
  signal(SIGTERM, on_stop);
  signal(SIGINT, on_stop);
  puts("ready");
  fflush(stdout);
  while (!stopping) {
    struct pollfd polled[2] = {{sides[0].fd, POLLIN, 0}, {sides[1].fd, POLLIN, 0}};
    u64 now = now_us(), wait = heap_count && heap[0].departure_us > now ? heap[0].departure_us - now : 0;
    struct timespec timeout = {(time_t)(wait / 1000000), (long)(wait % 1000000 * 1000)};
    if (ppoll(polled, 2, heap_count ? &timeout : NULL, &none) > 0)
      for (u32 side = 0; side < 2; side++) {
        if (polled[side].revents & POLLIN) accept_frames(side);
        else if (polled[side].revents) fail("%s is gone", sides[side].name);
      }
    send_due(now_us());
  }
  printf("{");
  print_direction("ab", &directions[0].counters);
  print_direction("ba", &directions[1].counters);
  printf("\"vlan\":%llu,\"overflowed\":%llu,\"refused\":%llu,\"waiting\":%u}\n", (unsigned long long)vlan_dropped,
         (unsigned long long)overflowed, (unsigned long long)refused, heap_count);
  if (pcap) fclose(pcap);
  return 0;
}
