// The command line of a hosted image.
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "host.h"

#define DEFAULT_MEMORY_BYTES (256ull << 20)
#define MIN_MEMORY_BYTES (16ull << 20)
#define MAX_MEMORY_BYTES (3ull << 30)

struct link host_links[HOST_DEVICES];
u32 host_link_count;

_Noreturn void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("heddle: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static const char usage[] =
    "Usage: %s [OPTION]...\n"
    "A Heddle image as a Linux process. Its network cards are eth0, eth1, ... in the order given here.\n"
    "\n"
    "  --tap IF[,IF...]     use TAP devices (made when they do not exist, which needs CAP_NET_ADMIN)\n"
    "  --packet IF[,IF...]  use existing interfaces, for example an end of a veth pair, by AF_PACKET (needs CAP_NET_RAW)\n"
    "  --mac MAC[,MAC...]   their hardware addresses, in the same order\n"
    "  --config FILE        configuration: plain JSON, or a ustar archive with config.json\n"
    "  --memory SIZE        memory of the image, for example 64MiB (default 256MiB); a quarter is for packets\n"
    "  --cpus N             cores to use, a thread each, to 64 (default 1)\n"
    "  --no-seccomp         do not restrict system calls (valgrind needs some of its own)\n"
    "  --help               this text\n"
    "\n"
    "Examples:\n"
    "  sudo ip tuntap add tap0 mode tap user $USER && sudo ip addr add 10.0.1.1/24 dev tap0 && sudo ip link set tap0 up\n"
    "  %s --tap tap0 --config config.json\n";

static void add_links(enum link_kind kind, char* names) {
  for (char* name = strtok(names, ","); name; name = strtok(NULL, ",")) {
    if (host_link_count == HOST_DEVICES) fail("more than %d network cards", HOST_DEVICES);
    if (strlen(name) >= IFNAMSIZ) fail("%s: interface names have at most %d characters", name, IFNAMSIZ - 1);
    struct link* link = &host_links[host_link_count++];
    link->kind = kind;
    strcpy(link->name, name);
  }
}

static void parse_mac(const char* text, u8* mac) {
  unsigned byte[6];
  int end = 0;
  if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5], &end) != 6 ||
      text[end] || end != 17)
    fail("--mac %s: not an address like 52:54:00:12:34:56", text);
  if (byte[0] & 1) fail("--mac %s: a multicast address cannot belong to a card", text);
  for (int i = 0; i < 6; i++) mac[i] = (u8)byte[i];
}

static u64 parse_size(const char* text) {
  static const struct { const char* name; int shift; } units[] = {
      {"", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};
  char* end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (end != text && text[0] != '-' && !errno && number < 1ull << 33)
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
      if (!strcasecmp(end, units[i].name)) return (u64)number << units[i].shift;
  fail("--memory %s: not a size like 64MiB", text);
}

void options_parse(int argc, char** argv, struct options* options) {
  enum { TAP = 1, PACKET, MAC, CONFIG, MEMORY, CPUS, NO_SECCOMP, HELP };
  static const struct option known[] = {
      {"tap", required_argument, 0, TAP},       {"packet", required_argument, 0, PACKET},
      {"mac", required_argument, 0, MAC},       {"config", required_argument, 0, CONFIG},
      {"memory", required_argument, 0, MEMORY}, {"cpus", required_argument, 0, CPUS},
      {"no-seccomp", no_argument, 0, NO_SECCOMP}, {"help", no_argument, 0, HELP},
      {0, 0, 0, 0}};
  u8 macs[HOST_DEVICES][6];
  u32 mac_count = 0;
  *options = (struct options){.memory_bytes = DEFAULT_MEMORY_BYTES, .seccomp = true, .cpus = 1};
  int key;
  while ((key = getopt_long(argc, argv, "h", known, NULL)) != -1) switch (key) {
      case TAP: add_links(LINK_TAP, optarg); break;
      case PACKET: add_links(LINK_PACKET, optarg); break;
      case MAC:
        for (char* text = strtok(optarg, ","); text; text = strtok(NULL, ",")) {
          if (mac_count == HOST_DEVICES) fail("--mac: more than %d addresses", HOST_DEVICES);
          parse_mac(text, macs[mac_count++]);
        }
        break;
      case CONFIG: options->config = optarg; break;
      case MEMORY:
        options->memory_bytes = parse_size(optarg);
        if (options->memory_bytes < MIN_MEMORY_BYTES || options->memory_bytes > MAX_MEMORY_BYTES)
          fail("--memory %s: must be from 16MiB to 3GiB", optarg);
        break;
      case CPUS: {
        char* end;
        long count = strtol(optarg, &end, 10);
        if (end == optarg || *end || count < 1 || count > CORES_MAX)
          fail("--cpus %s: not a number of cores from 1 to %d", optarg, CORES_MAX);
        options->cpus = (u32)count;
        break;
      }
      case NO_SECCOMP: options->seccomp = false; break;
      case 'h':
      case HELP: printf(usage, argv[0], argv[0]); exit(0);
      default: fprintf(stderr, "Try '%s --help'.\n", argv[0]); exit(1);
    }
  if (optind < argc) fail("%s: not understood; try %s --help", argv[optind], argv[0]);
  if (mac_count > host_link_count)
    fail("--mac gives %u addresses for %u network cards", mac_count, host_link_count);
  for (u32 i = 0; i < mac_count; i++) {
    memcpy(host_links[i].mac, macs[i], 6);
    host_links[i].has_mac = true;
  }
}
