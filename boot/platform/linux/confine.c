// Giving up everything that the loop does not need: user, groups, capabilities, and all system calls but a dozen.
// A forbidden call ends the process with a message (faults.c, SIGSYS); the filter can never be taken off again.
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "host.h"

#define NOBODY 65534

// root outside a user namespace becomes nobody. Inside one (unshare -Ur) there is often no nobody to become: EINVAL, or
// EPERM for the groups, which are then those of the unprivileged user who made it. Capabilities go in every case.
void confine_drop_privileges(void) {
  for (int capability = 0; capability <= CAP_LAST_CAP; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  if (geteuid() == 0) {
    if (setgroups(0, NULL) && errno != EPERM) fail("cannot drop groups: %s", strerror(errno));
    if (setresgid(NOBODY, NOBODY, NOBODY) && errno != EINVAL) fail("cannot drop the group: %s", strerror(errno));
    if (setresuid(NOBODY, NOBODY, NOBODY) && errno != EINVAL) fail("cannot drop the user: %s", strerror(errno));
  }
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
  if (syscall(SYS_capset, &header, none)) fail("cannot drop capabilities: %s", strerror(errno));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("cannot give up privileges: %s", strerror(errno));
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD_ARGUMENT(n) LOAD(args[n])  // its low half: the machine is little-endian
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define UNLESS_EQUAL_SKIP(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define UNLESS_ANY_BIT_SKIP(bits, count) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, count)
#define ALLOW(name) UNLESS_EQUAL_SKIP(SYS_##name, 1), RETURN(SECCOMP_RET_ALLOW)
// Memory may come and go, but never executable.
#define ALLOW_UNLESS_EXECUTABLE(name) \
  UNLESS_EQUAL_SKIP(SYS_##name, 4), LOAD_ARGUMENT(2), UNLESS_ANY_BIT_SKIP(PROT_EXEC, 1), RETURN(SECCOMP_RET_TRAP), \
      RETURN(SECCOMP_RET_ALLOW)

void confine_system_calls(void) {
  static struct sock_filter filter[] = {
      LOAD(arch), UNLESS_EQUAL_SKIP(AUDIT_ARCH_X86_64, 1), BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), RETURN(SECCOMP_RET_KILL_PROCESS),
      LOAD(nr),
      ALLOW(readv), ALLOW(recvmsg), ALLOW(writev), ALLOW(ppoll),       // frames
      ALLOW(clock_gettime), ALLOW(getrandom),                          // the clock: where the vDSO cannot tell it
      ALLOW(write),                                                    // the console
      ALLOW(munmap), ALLOW(madvise), ALLOW_UNLESS_EXECUTABLE(mprotect), ALLOW_UNLESS_EXECUTABLE(mmap),
      ALLOW(rt_sigreturn), ALLOW(exit_group),
      ALLOW(timer_settime),                                            // the watchdog
      // The offloads that a driver accepts. A mask of flags, no address.
      // The queue that a core takes.
      UNLESS_EQUAL_SKIP(SYS_ioctl, 5), LOAD_ARGUMENT(1), UNLESS_EQUAL_SKIP(TUNSETOFFLOAD, 1), RETURN(SECCOMP_RET_ALLOW),
      UNLESS_EQUAL_SKIP(TUNSETQUEUE, 1), RETURN(SECCOMP_RET_ALLOW),
      RETURN(SECCOMP_RET_TRAP),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  // All threads at once: those of the other cores exist already.
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program)) fail("cannot restrict system calls: %s", strerror(errno));
}
