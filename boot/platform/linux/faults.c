// Faults of the processor as signals, on a stack of their own: what sandboxed code did wrong becomes a trap with its
// reason (common/), everything else is a defect of the platform and says where.
//
//   an address in the linear memory's reservation   out of bounds; its offset is in the report
//   an address a page or two around the stack pointer  the stack's guard: overflow (-fstack-clash-protection touches
//                                                   every page of a frame, so an overflow cannot jump over the guard)
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <time.h>
#include <unistd.h>
#include "../common/watchdog.h"
#include "host.h"

#define FAULT_STACK_BYTES 0x10000u
#define GUARD_REACH_BYTES 0x2000u
#define DIRECTION_FLAG 0x400

static __thread volatile sig_atomic_t reporting;

static void say(const char* text) { console_write(text, strlen(text)); }

static void say_number(const char* before, u64 value, int base, const char* after) {
  char text[24], *at = text + sizeof text;
  do *--at = "0123456789abcdef"[value % (u64)base];
  while (value /= (u64)base);
  say(before);
  console_write(at, (size_t)(text + sizeof text - at));
  say(after);
}

static enum trap reason_of(int signal, const siginfo_t* info, u64 stack_pointer, u64* detail) {
  u64 address = (u64)info->si_addr;
  *detail = address;
  switch (signal) {
    case SIGFPE: return TRAP_DIVIDE_BY_ZERO;
    case SIGILL: return TRAP_UNREACHABLE;
    default: break;
  }
  if (memory_is_linear(this_core(), address)) {
    *detail = address - (u64)this_core()->memory;
    return TRAP_OUT_OF_BOUNDS;
  }
  if (address + GUARD_REACH_BYTES >= stack_pointer && address < stack_pointer + GUARD_REACH_BYTES) return TRAP_STACK_OVERFLOW;
  say_number("heddle: the platform touched address 0x", address, 16, "\n");
  return TRAP_FAULT;
}

// Where only a fiber ends, the signal returns to the loop's stack, with the signal mask that it interrupted.
static void on_fault(int signal, siginfo_t* info, void* context) {
  greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  if (reporting) {
    say("heddle: a fault while reporting a fault\n");
    _exit(70);
  }
  reporting = 1;
  u64 pc = (u64)registers[REG_RIP], frame = (u64)registers[REG_RBP];
  u64 detail;
  enum trap reason = reason_of(signal, info, (u64)registers[REG_RSP], &detail);
  u64 loop = trap_take(this_core(), reason, detail, pc, frame);
  registers[REG_RIP] = (greg_t)(u64)stack_resume;
  registers[REG_RDI] = registers[REG_RSP] = (greg_t)loop;
  registers[REG_EFL] &= ~(greg_t)DIRECTION_FLAG;
  reporting = 0;
}

static void on_forbidden_call(int signal, siginfo_t* info, void* context) {
  (void)signal;
  reporting = 1;
  const greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  say_number("heddle: forbidden system call ", (u64)info->si_syscall, 10, "");
  say_number(" at 0x", (u64)info->si_call_addr, 16, "; killed\n");
  print_backtrace((u64)registers[REG_RIP], (u64)registers[REG_RBP]);
  _exit(128 + SIGSYS);
}

void faults_stack(void) {
  u8* top = stack_map(FAULT_STACK_BYTES);
  if (!top) fail("no memory for a signal stack");
  stack_t stack = {.ss_sp = top - FAULT_STACK_BYTES, .ss_size = FAULT_STACK_BYTES};
  if (sigaltstack(&stack, NULL)) fail("no signal stack");
}

// The thread's own CPU time: an idle core has no ticks, and a thread that the kernel did not run is not blamed for it.
static __thread timer_t ticks;

static void on_tick(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)info;
  greg_t* registers = ((ucontext_t*)context)->uc_mcontext.gregs;
  u64 loop = watchdog_tick(this_core(), (u64)registers[REG_RIP], (u64)registers[REG_RBP]);
  if (!loop) return;
  registers[REG_RIP] = (greg_t)(u64)stack_resume;
  registers[REG_RDI] = registers[REG_RSP] = (greg_t)loop;
  registers[REG_EFL] &= ~(greg_t)DIRECTION_FLAG;
}

void watchdog_thread(void) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = WATCHDOG_SIGNAL};
  event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &ticks)) fail("no timer for the watchdog");
}

void watchdog_arm(struct core* core) {
  u64 ns = core->watch.interval_ns;
  struct timespec interval = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  struct itimerspec periodic = {interval, interval};
  timer_settime(ticks, 0, &periodic, NULL);
}

bool console_free(void) { return true; }  // a system call

void faults_install(void) {
  faults_stack();
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaddset(&action.sa_mask, WATCHDOG_SIGNAL);  // a report is not interrupted by another
  const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigaction(faults[i], &action, NULL);
  action.sa_sigaction = on_forbidden_call;
  sigaction(SIGSYS, &action, NULL);
  action.sa_sigaction = on_tick;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigaction(WATCHDOG_SIGNAL, &action, NULL);
}
