// A thread for each core besides the first, which is the process's own: made before system calls are restricted, pinned where
// the machine has as many CPUs, and asleep until core 0 starts them.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "host.h"

#define STACK_BYTES (1u << 20)

static void pin(pthread_t thread, u32 number, const cpu_set_t* allowed) {
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, allowed) || number--) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(thread, sizeof one, &one);  // without it the kernel places them: no error
    return;
  }
}

static u32 ready;

static void* run(void* argument) {
  struct core* core = argument;
  host_self = core;
  faults_stack();
  watchdog_thread();
  wait_thread();
  __atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
  wait_for_start(core);
  core_main(core);
}

void threads_create(void) {
  // SIGTERM and SIGINT are core 0's: its wait is what they interrupt.
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGSEGV), sigdelset(&all, SIGBUS), sigdelset(&all, SIGFPE), sigdelset(&all, SIGILL), sigdelset(&all, SIGSYS);
  sigdelset(&all, WATCHDOG_SIGNAL);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_t threads[CORES_MAX];
  for (u32 i = 1; i < core_count; i++) {
    int error = pthread_create(&threads[i], &attributes, run, core_table[i]);
    if (error) fail("no thread for core %u: %s", i, strerror(error));
  }
  // What a thread calls while it begins is forbidden soon.
  while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) != core_count - 1) sched_yield();
  cpu_set_t allowed;
  bool enough = !sched_getaffinity(0, sizeof allowed, &allowed) && CPU_COUNT(&allowed) >= (int)core_count;
  for (u32 i = 1; enough && i < core_count; i++) pin(threads[i], i, &allowed);
  if (enough && core_count > 1) pin(pthread_self(), 0, &allowed);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

u64 w2c_env_coresStart(struct core* core, u32 count) {
  for (u32 i = 1; core->number == 0 && i < core_count && i < count; i++) {
    if (core_table[i]->state != CORE_OFF) continue;
    __atomic_store_n(&core_table[i]->state, CORE_UP, __ATOMIC_RELEASE);
    core_interrupt(core_table[i]);
  }
  return 0;
}
