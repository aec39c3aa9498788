// The two parts of the library that ours replace, because they differ without an operating system: threads, which are cores
// here, and the detection of forks and snapshots.
//
// Locks are held for a few instructions (reference counts, lists of methods) and hardly contended: each core has its own
// contexts. So they spin. `once` waits for whoever runs the initialisation on another core.
#include <string.h>
#include "tls.h"

typedef int tls_once;        // CRYPTO_once_t is pthread_once_t here, an int that begins as 0
enum { ONCE_NEW, ONCE_RUNNING, ONCE_DONE };
#define THREAD_LOCALS 32u

// A reader-writer lock in the first word of whatever the library reserved: readers, or WRITER.
#define WRITER 0x80000000u

static void lock_read(u32* lock) {
  for (;;) {
    u32 seen = __atomic_load_n(lock, __ATOMIC_RELAXED);
    if (!(seen & WRITER) && __atomic_compare_exchange_n(lock, &seen, seen + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
    __builtin_ia32_pause();
  }
}
static void lock_write(u32* lock) {
  for (;;) {
    u32 none = 0;
    if (__atomic_compare_exchange_n(lock, &none, WRITER, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
    __builtin_ia32_pause();
  }
}
static void unlock_read(u32* lock) { __atomic_fetch_sub(lock, 1, __ATOMIC_RELEASE); }
static void unlock_write(u32* lock) { __atomic_store_n(lock, 0, __ATOMIC_RELEASE); }

void CRYPTO_MUTEX_init(u32* lock);
void CRYPTO_MUTEX_lock_read(u32* lock);
void CRYPTO_MUTEX_lock_write(u32* lock);
void CRYPTO_MUTEX_unlock_read(u32* lock);
void CRYPTO_MUTEX_unlock_write(u32* lock);
void CRYPTO_MUTEX_cleanup(u32* lock);
void CRYPTO_STATIC_MUTEX_lock_read(u32* lock);
void CRYPTO_STATIC_MUTEX_lock_write(u32* lock);
void CRYPTO_STATIC_MUTEX_unlock_read(u32* lock);
void CRYPTO_STATIC_MUTEX_unlock_write(u32* lock);
void CRYPTO_once(tls_once* once, void (*init)(void));
void* CRYPTO_get_thread_local(u32 index);
int CRYPTO_set_thread_local(u32 index, void* value, void (*destructor)(void*));
int CRYPTO_get_ube_generation_number(u64* generation);
u64 CRYPTO_get_fork_ube_generation(void);

void CRYPTO_MUTEX_init(u32* lock) { *lock = 0; }
void CRYPTO_MUTEX_lock_read(u32* lock) { lock_read(lock); }
void CRYPTO_MUTEX_lock_write(u32* lock) { lock_write(lock); }
void CRYPTO_MUTEX_unlock_read(u32* lock) { unlock_read(lock); }
void CRYPTO_MUTEX_unlock_write(u32* lock) { unlock_write(lock); }
void CRYPTO_MUTEX_cleanup(u32* lock) { (void)lock; }
void CRYPTO_STATIC_MUTEX_lock_read(u32* lock) { lock_read(lock); }
void CRYPTO_STATIC_MUTEX_lock_write(u32* lock) { lock_write(lock); }
void CRYPTO_STATIC_MUTEX_unlock_read(u32* lock) { unlock_read(lock); }
void CRYPTO_STATIC_MUTEX_unlock_write(u32* lock) { unlock_write(lock); }

void CRYPTO_once(tls_once* once, void (*init)(void)) {
  int seen = __atomic_load_n(once, __ATOMIC_ACQUIRE);
  if (seen == ONCE_DONE) return;
  int expected = ONCE_NEW;
  if (__atomic_compare_exchange_n(once, &expected, ONCE_RUNNING, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
    init();
    __atomic_store_n(once, ONCE_DONE, __ATOMIC_RELEASE);
    return;
  }
  while (__atomic_load_n(once, __ATOMIC_ACQUIRE) != ONCE_DONE) __builtin_ia32_pause();
}

static void* thread_locals[CORES_MAX][THREAD_LOCALS];

static u32 number(void) {
  struct core* core = this_core();
  return core ? core->number : 0;
}

void* CRYPTO_get_thread_local(u32 index) { return index < THREAD_LOCALS ? thread_locals[number()][index] : NULL; }

// Cores do not end: no destructor ever runs for a value that was kept.
int CRYPTO_set_thread_local(u32 index, void* value, void (*destructor)(void*)) {
  if (index >= THREAD_LOCALS) {
    destructor(value);
    return 0;
  }
  thread_locals[number()][index] = value;
  return 1;
}

// Machines do not fork. A snapshot that is restored more than once would repeat the generators' output: there is no way yet
// to learn of one, and nothing here takes any.
int CRYPTO_get_ube_generation_number(u64* generation) {
  *generation = 1;
  return 1;
}
u64 CRYPTO_get_fork_ube_generation(void) { return 1; }
