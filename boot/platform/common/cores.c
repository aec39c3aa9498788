// The cores' boundary that is the same on every platform: states, wake-ups, channels, the panic policy (cores.h).
// clang: -Os
#include "notes.h"
#include "platform.h"
#include "wasm-rt.h"

#define ERROR_NODEV ((u32)-19)
#define ERROR_NOMEM ((u32)-12)
#define ERROR_INVAL ((u32)-22)
#define PENDING_WAKE (1u << 29)

u32 core_count = 1;
struct core* core_table[CORES_MAX];

static u64 channels[CORES_MAX];  // bit B of A: the two have their rings
static u64 broken[CORES_MAX];    // or there was no memory for them: what was mapped stays, so it is not tried again
static u32 channels_lock;
static u32 panic_policy = PANIC_END;

struct core* core_find(u32 number) {
  return number < core_count ? __atomic_load_n(&core_table[number], __ATOMIC_ACQUIRE) : NULL;
}

void core_announce(struct core* core) {
  __atomic_store_n(&core->state, CORE_UP, __ATOMIC_RELEASE);
  __atomic_store_n(&core_table[core->number], core, __ATOMIC_RELEASE);
}

u32 w2c_env_coreState(struct core* core, u32 number) {
  (void)core;
  struct core* other = core_find(number);
  return other ? __atomic_load_n(&other->state, __ATOMIC_ACQUIRE) : CORE_OFF;
}

void core_raise(struct core* core, u32 bits) {
  __atomic_fetch_or(&core->pending, bits, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&core->waiting, __ATOMIC_SEQ_CST) && __atomic_exchange_n(&core->waiting, 0, __ATOMIC_SEQ_CST))
    core_interrupt(core);
}

void w2c_env_coreWake(struct core* core, u32 number) {
  struct core* other = core_find(number);
  if (!other || other == core) return;
  __atomic_fetch_or(&other->bells, 1ull << core->number, __ATOMIC_SEQ_CST);
  core_raise(other, PENDING_WAKE);
}

u64 w2c_env_bellTake(struct core* core) { return __atomic_exchange_n(&core->bells, 0, __ATOMIC_ACQUIRE); }

// Where the pages that `writer` writes for `reader` lie.
static u64 channel_offset(const struct core* writer, const struct core* reader) {
  return LINEAR_WINDOW + ((u64)writer->number * CORES_MAX + reader->number) * CHANNEL_BYTES;
}

// Both directions at once: whoever comes first, the other side finds its pages there.
u32 w2c_env_channelOpen(struct core* core, u32 number) {
  struct core* other = core_find(number);
  if (number == core->number) return ERROR_INVAL;
  if (!other) return ERROR_NODEV;
  while (__atomic_exchange_n(&channels_lock, 1, __ATOMIC_ACQUIRE)) __builtin_ia32_pause();
  bool open = channels[core->number] >> number & 1;
  if (!open && !(broken[core->number] >> number & 1)) {
    open = window_share(core, other, channel_offset(core, other), CHANNEL_BYTES) &&
           window_share(other, core, channel_offset(other, core), CHANNEL_BYTES);
    u64* marks = open ? channels : broken;
    marks[core->number] |= 1ull << number;
    marks[number] |= 1ull << core->number;
  }
  __atomic_store_n(&channels_lock, 0, __ATOMIC_RELEASE);
  return open ? 0 : ERROR_NOMEM;
}

u32 w2c_env_panicPolicy(struct core* core, u32 policy) {
  (void)core;
  if (policy > PANIC_RESTART_CORE) return ERROR_INVAL;
  __atomic_store_n(&panic_policy, policy, __ATOMIC_RELAXED);
  return 0;
}

_Noreturn void core_panicked(struct core* core, int status) {
  __atomic_store_n(&core->state, CORE_DEAD, __ATOMIC_RELEASE);
  switch (__atomic_load_n(&panic_policy, __ATOMIC_RELAXED)) {
    case PANIC_HALT:
      // The others learn of it from core 0, which is woken to look.
      if (core->number != 0 && core_table[0]) core_raise(core_table[0], PENDING_WAKE | PENDING_REPORT);
      core_stop();
    case PANIC_REBOOT:
    case PANIC_RESTART_CORE:  // no device here can reset one queue and leave the others alone
      machine_reset();
    default:
      machine_exit(status);
  }
}
