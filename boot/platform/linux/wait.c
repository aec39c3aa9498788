// Waiting: ppoll over what is armed, with no work when idle, and SIGTERM and SIGINT as the power button.
//
// No wake-up is lost: the signal handler sets the pending bit and then zeroes the timeout that ppoll is about to read. A
// signal before ppoll makes it return at once, one during it interrupts it. (Hence the bare system call: glibc's wrapper
// copies the timeout first.)
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "host.h"

#define PENDING_TIMER (1u << 28)
#define PENDING_SHUTDOWN (1u << 30)
#define NS_PER_S 1000000000ull
#define NEVER ((u64)INT64_MAX)
#define BUSY_POLL_NS 20000ull  // how late a loop that never waits may learn of a frame

__thread bool host_polled;
static __thread volatile struct timespec timeout;
static __thread u64 last_poll_ns;
static int wakers[CORES_MAX];  // an eventfd for each core

u64 host_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (u64)now.tv_sec * NS_PER_S + (u64)now.tv_nsec;
}

static void on_shutdown(int signal) {
  (void)signal;
  __atomic_fetch_or(&host_core->pending, PENDING_SHUTDOWN, __ATOMIC_RELAXED);
  timeout.tv_sec = 0;
  timeout.tv_nsec = 0;
}

void signals_install(void) {
  struct sigaction action = {.sa_handler = on_shutdown, .sa_flags = SA_ONSTACK};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

static void raise_device(struct core* core, u32 device) {
  host_rings[(core->number * HOST_DEVICES + device) * 2].armed = false;
  __atomic_fetch_or(&core->pending, 1u << device, __ATOMIC_RELAXED);
}

static void drain(int waker) {
  u64 count;
  struct iovec part = {&count, sizeof count};
  if (readv(waker, &part, 1) < 0) return;  // nothing there: somebody else's wake-up was taken with it
}

void wait_init(struct core* core) {
  if (core_count > 1 && (wakers[core->number] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0) fail("no eventfd for a core");
}

// Stores what is zero anyway: valgrind does not know that a thread's memory begins so.
void wait_thread(void) {
  host_polled = false;
  last_poll_ns = 0;
}

void core_interrupt(struct core* core) {
  u64 one = 1;
  if (write(wakers[core->number], &one, sizeof one) < 0) return;  // full: it is readable already
}

// A core's thread before coresStart: nothing is known of it yet, so no bit is lost.
void wait_for_start(struct core* core) {
  struct pollfd polled = {wakers[core->number], POLLIN, 0};
  while (__atomic_load_n(&core->state, __ATOMIC_ACQUIRE) != CORE_UP) syscall(SYS_ppoll, &polled, 1, NULL, NULL, 0);
}

_Noreturn void core_stop(void) {
  for (;;) syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

// One ppoll of at most `limit_ns`.
static void look(struct core* core, u64 limit_ns) {
  struct pollfd polled[HOST_DEVICES + 1];
  u32 device_of[HOST_DEVICES];
  u32 count = 0;
  for (u32 i = 0; i < host_link_count; i++) {
    const struct ring* receive = &host_rings[(core->number * HOST_DEVICES + i) * 2];
    const struct ring* transmit = receive + 1;
    bool in = receive->owner == core && receive->armed && receive->taken != receive->published;
    bool out = transmit->owner == core && transmit->blocked;
    if (host_links[i].gone || (!in && !out)) continue;
    polled[count] = (struct pollfd){(in ? receive : transmit)->link->fd, (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0)), 0};
    device_of[count++] = i;
  }
  int waker = wakers[core->number];
  if (core_count > 1) polled[count] = (struct pollfd){waker, POLLIN, 0};
  timeout.tv_sec = (time_t)(limit_ns / NS_PER_S);
  timeout.tv_nsec = (long)(limit_ns % NS_PER_S);
  __asm__ volatile("" ::: "memory");
  if (limit_ns) __atomic_store_n(&core->waiting, 1, __ATOMIC_SEQ_CST);  // before the look at `pending`: common/cores.h
  if (__atomic_load_n(&core->pending, __ATOMIC_SEQ_CST)) {
    timeout.tv_sec = 0;
    timeout.tv_nsec = 0;
  }
  host_polled = true;
  long ready = syscall(SYS_ppoll, polled, core_count > 1 ? count + 1 : count, &timeout, NULL, 0);
  __atomic_store_n(&core->waiting, 0, __ATOMIC_RELAXED);
  if (ready <= 0) return;
  if (core_count > 1 && polled[count].revents) drain(waker);
  for (u32 n = 0; n < count; n++) {
    u32 device = device_of[n];
    short events = polled[n].revents;
    if (events & POLLOUT) ring_transmit(core, &host_rings[(core->number * HOST_DEVICES + device) * 2 + 1]);
    if (events & (POLLIN | POLLERR | POLLHUP)) raise_device(core, device);
    if ((events & POLLERR) && !(events & POLLIN) && host_links[device].kind == LINK_TAP) {
      host_links[device].gone = true;  // the interface was deleted: it will never be readable, nor quiet
      fprintf(stderr, "heddle: %s is gone\n", host_links[device].name);
    }
  }
}

void w2c_env_wait(struct core* core, u64 deadline_ns) {
  s64 deadline = (s64)deadline_ns;
  s64 now = (s64)host_now_ns();
  look(core, deadline_ns == NEVER ? NEVER : deadline > now ? (u64)(deadline - now) : 0);
  last_poll_ns = host_now_ns();
  if (deadline <= (s64)last_poll_ns) __atomic_fetch_or(&core->pending, PENDING_TIMER, __ATOMIC_RELAXED);
}

void host_poll_busy(struct core* core) {
  u64 now = host_now_ns();
  if (now - last_poll_ns < BUSY_POLL_NS) return;
  last_poll_ns = now;
  look(core, 0);
}
