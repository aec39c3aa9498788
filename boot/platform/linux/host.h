// What the files of the hosted platform share. The process: parse the command line (options.c), lay out memory (memory.c),
// open the links (link.c), give up every privilege (confine.c), catch faults (faults.c), run the module.
#pragma once
#include <net/if.h>
#include <stdio.h>
#include <sys/uio.h>
#include "../common/cores.h"
#include "inline.h"

// virtio-net feature bits (VIRTIO 1.2, 5.1.3) that a link can offer.
#define VIRTIO_NET_F_CSUM       (1ull << 0)
#define VIRTIO_NET_F_GUEST_CSUM (1ull << 1)
#define VIRTIO_NET_F_MAC        (1ull << 5)
#define VIRTIO_NET_F_GUEST_TSO4 (1ull << 7)
#define VIRTIO_NET_F_GUEST_TSO6 (1ull << 8)
#define VIRTIO_NET_F_HOST_TSO4  (1ull << 11)
#define VIRTIO_NET_F_HOST_TSO6  (1ull << 12)
#define VIRTIO_NET_F_MRG_RXBUF  (1ull << 15)
#define VIRTIO_NET_F_MQ         (1ull << 22)
#define VIRTIO_F_VERSION_1      (1ull << 32)

// The header in front of each frame (VIRTIO 1.2, 5.1.6), little-endian as this machine is.
struct net_header {
  u8 flags, gso_type;
  u16 header_length, gso_size, checksum_start, checksum_offset;
  u16 buffers;
};
#define NET_HEADER_BYTES 12u
_Static_assert(sizeof(struct net_header) == NET_HEADER_BYTES, "virtio_net_hdr_v1");
#define NET_HEADER_NEEDS_CSUM 1u

// Ethernet header with one VLAN tag; the largest frame that a segmentation offload gives.
#define FRAME_HEADER_BYTES 18u
#define FRAME_MAX_BYTES (65535u + FRAME_HEADER_BYTES)

enum link_kind { LINK_TAP = 1, LINK_PACKET };

struct link {
  enum link_kind kind;
  char name[IFNAMSIZ];
  bool has_mac, gone;
  struct core* owner;              // the core that opened it; NULL: nobody did; atomic
  u8 mac[6];
  int fd;
  u32 mtu_bytes;
  u32 header_bytes;                // of net_header, how many the kernel reads and writes: 12, 10 or 0
  u64 offered, accepted;           // feature bits
  u64 lost_long, lost_offload, lost_refused;
  u32 wanted, pairs;               // queues: one for each core is wanted; only a TAP device has more than one
  struct link* more[CORES_MAX];    // its queues besides the first, as links of their own
};

struct options {
  u64 memory_bytes;
  const char* config;              // NULL: none
  bool seccomp;
  u32 cpus;
};

extern struct link host_links[HOST_DEVICES];
extern u32 host_link_count;
extern struct core* host_core;     // core 0
extern u64 host_memory_bytes, host_entered_ns;
extern u32 host_bundle_bytes, host_embedded_offset, host_embedded_bytes;

// One line on stderr that says what is wrong and what to do, then exit status 1. Only before the module runs.
_Noreturn void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

void options_parse(int argc, char** argv, struct options* options);

void memory_init(const struct options* options);  // what the cores share
struct core* memory_create(u32 number);           // the linear memory of a core
void memory_slice(const struct core* core, u32* low, u32* high);  // its part of the packet pool
u8* memory_rings(u32* bytes_each);  // native, writable alias of the ring region
bool memory_is_linear(const struct core* core, u64 address);

// Opens the interface named in `link`; fails with a message.
void link_open(struct link* link);
// Tells the kernel which offloads may be used towards the driver.
bool link_accept(struct link* link, u64 features);
// A queue of a TAP device gets frames only while it is attached; the first one always is.
bool link_attach(struct link* queue);
enum link_result { LINK_DONE, LINK_AGAIN, LINK_LOST };
// Sends header and frame; `parts` is modified. One more element than `count` must be there.
enum link_result link_send(struct link* link, struct iovec* parts, int count);
// Receives header and frame into `parts` (as link_send); `room` of their bytes belong to the ring, what is behind only
// shows that a frame was too long. `bytes`: of header (always 12) and frame.
enum link_result link_receive(struct link* link, struct iovec* parts, int count, u64 room, u32* bytes);

struct vlan_tag { u16 tpid, tci; };
// AF_PACKET: repairs what the socket interface takes out of a frame, VLAN tag (NULL: none) and checksum, in the list that
// link_receive gave to the kernel. False: the frame is lost.
bool packet_repair(struct link* link, struct net_header* header, const struct iovec* parts, int count, u64 room, u32* bytes,
                   const struct vlan_tag* tag);

void ring_transmit(struct core* core, struct ring* ring);
void ring_reset_device(u32 device);
bool ring_shared(u32 device);        // another core than the owner has a queue of it

void confine_drop_privileges(void);
void confine_system_calls(void);
void faults_install(void);
void watchdog_thread(void);        // of the calling thread, too: before system calls are restricted
#define WATCHDOG_SIGNAL SIGVTALRM
void faults_stack(void);           // of the calling thread
void signals_install(void);
void wait_init(struct core* core); // before its thread runs
void wait_thread(void);            // on the thread itself
void wait_for_start(struct core* core);
void threads_create(void);         // of the other cores; they wait until coresStart
extern __thread struct core* host_self;
u64 host_now_ns(void);
