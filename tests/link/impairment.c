// The model of impairment.h, step by step in its order.
#include "impairment.h"

#define ETHERNET_BYTES 14u
#define TAG_BYTES 4u
#define GOLDEN 0x9e3779b97f4a7c15ull

static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

static uint64_t draw(const struct impairment_link* link, uint64_t frame, enum impairment_purpose purpose) {
  return mix(link->stream + (16 * frame + purpose) * GOLDEN);
}

static bool comes_true(const struct impairment_link* link, uint64_t frame, enum impairment_purpose purpose, uint64_t probability) {
  return draw(link, frame, purpose) >> 32 < probability;
}

void impairment_start(struct impairment_link* link, const struct impairment* configuration, uint64_t seed, uint64_t direction) {
  *link = (struct impairment_link){.configuration = *configuration, .stream = mix(seed + direction)};
}

static bool burst_drops(struct impairment_link* link, uint64_t frame) {
  const struct impairment* c = &link->configuration;
  if (comes_true(link, frame, PURPOSE_BURST_STATE, link->bad ? c->burst_leave : c->burst_enter)) link->bad = !link->bad;
  return link->bad && comes_true(link, frame, PURPOSE_BURST_LOSS, c->burst_loss);
}

struct impairment_verdict impairment_judge(struct impairment_link* link, uint64_t now_us, uint32_t frame_bytes, bool tagged) {
  const struct impairment* c = &link->configuration;
  struct impairment_counters* counters = &link->counters;
  struct impairment_verdict dropped = {0, 0, 0};
  uint64_t frame = counters->frames++;
  bool burst = burst_drops(link, frame);  // its state advances with every frame, whatever becomes of it

  if (c->mtu_bytes && frame_bytes > c->mtu_bytes + ETHERNET_BYTES + (tagged ? TAG_BYTES : 0)) return counters->mtu++, dropped;
  if (comes_true(link, frame, PURPOSE_LOSS, c->loss)) return counters->loss++, dropped;
  if (burst) return counters->burst++, dropped;

  uint64_t sent_us = now_us;
  if (c->rate_bps) {
    uint64_t start_us = link->line_free_us > now_us ? link->line_free_us : now_us;
    if (start_us - now_us > c->queue_us) return counters->queue++, dropped;
    sent_us = start_us + (frame_bytes * 8ull * 1000000ull + c->rate_bps - 1) / c->rate_bps;
    link->line_free_us = sent_us;
  }
  struct impairment_verdict verdict = {.copies = 1};
  if (frame_bytes > ETHERNET_BYTES && comes_true(link, frame, PURPOSE_CORRUPT, c->corrupt)) {
    counters->corrupted++;
    uint64_t bits = (frame_bytes - ETHERNET_BYTES) * 8ull;
    verdict.flipped_bit = (uint32_t)(ETHERNET_BYTES * 8 + draw(link, frame, PURPOSE_CORRUPT_BIT) % bits);
  }
  if (comes_true(link, frame, PURPOSE_DUPLICATE, c->duplicate)) {
    counters->duplicated++;
    verdict.copies = 2;
  }
  verdict.departure_us = sent_us + c->delay_us + (c->jitter_us ? draw(link, frame, PURPOSE_JITTER) % (c->jitter_us + 1) : 0);
  if (verdict.departure_us < link->last_departure_us) verdict.departure_us = link->last_departure_us;
  link->last_departure_us = verdict.departure_us;
  if (comes_true(link, frame, PURPOSE_REORDER, c->reorder)) {
    counters->reordered++;
    verdict.departure_us += c->reorder_us;
  }
  counters->passed += verdict.copies;
  return verdict;
}
