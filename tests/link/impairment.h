// What a bad link does to a frame, as a pure model: no clock, no I/O. The relay (relay.c) applies it between two real
// devices; the simulation (tests/sim) applies the same model to simulated links.
//
// Determinism. Every decision about frame N of a direction is a function of (seed, direction, N, purpose) alone: switching
// one impairment on does not shift the decisions of another, and a run can be replayed from the seed. Only the burst model
// has a state (good or bad), which advances once a frame. Times follow from the arrival times that the caller gives.
//
// Order, for each frame that arrives:
//   1. larger than the MTU               dropped ("mtu"); the frame still counts as frame N, as in all drops
//   2. independent loss                  dropped ("loss")
//   3. burst loss (Gilbert-Elliott)      dropped ("burst"): in the good state never, in the bad state with `burst_loss`;
//                                        before that, good -> bad with `burst_enter`, bad -> good with `burst_leave`
//   4. rate                              waits for the line; dropped ("queue") when it would wait longer than `queue_us`
//   5. corruption                        one bit behind the Ethernet header is flipped
//   6. duplication                       sent twice at the same time
//   7. delay and jitter                  leaves `delay_us` + uniform(0, `jitter_us`) later, never before its predecessor
//   8. reordering                        leaves `reorder_us` later still: frames behind it overtake it
//
// Random numbers. mix(x) is SplitMix64's finaliser: x ^= x>>30; x *= 0xbf58476d1ce4e5b9; x ^= x>>27;
// x *= 0x94d049bb133111eb; x ^= x>>31. draw(N, purpose) = mix(mix(seed + direction) + (16 N + purpose) * 0x9e3779b97f4a7c15),
// all modulo 2^64. A probability p is stored as floor(p * 2^32); it comes true when draw >> 32 is below it.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define IMPAIRMENT_CERTAIN 0x100000000ull

enum impairment_purpose { PURPOSE_LOSS, PURPOSE_BURST_STATE, PURPOSE_BURST_LOSS, PURPOSE_CORRUPT, PURPOSE_CORRUPT_BIT,
                          PURPOSE_DUPLICATE, PURPOSE_JITTER, PURPOSE_REORDER };

struct impairment {
  uint64_t loss, burst_enter, burst_leave, burst_loss, corrupt, duplicate, reorder;  // probabilities times 2^32
  uint64_t delay_us, jitter_us, reorder_us;
  uint64_t rate_bps;      // bits a second of whole frames; 0: no limit
  uint64_t queue_us;
  uint32_t mtu_bytes;     // of the payload behind a 14-byte Ethernet header (and one VLAN tag); 0: no limit
};

struct impairment_counters {
  uint64_t frames, passed, loss, burst, mtu, queue, corrupted, duplicated, reordered;
};

struct impairment_link {
  struct impairment configuration;
  uint64_t stream;        // mix(seed + direction)
  bool bad;
  uint64_t line_free_us, last_departure_us;
  struct impairment_counters counters;
};

struct impairment_verdict {
  uint32_t copies;        // 0: dropped
  uint64_t departure_us;
  uint32_t flipped_bit;   // counted from the first bit of the frame; 0: none
};

void impairment_start(struct impairment_link* link, const struct impairment* configuration, uint64_t seed, uint64_t direction);
struct impairment_verdict impairment_judge(struct impairment_link* link, uint64_t now_us, uint32_t frame_bytes, bool tagged);
