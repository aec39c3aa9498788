// Error codes: what calls that can fail return instead of throwing (AssemblyScript has no exceptions). Always negative.
// The names and numbers are those of POSIX as Linux has them, so that nobody has to learn new ones.

export const enum Errno {
  EPERM = -1,
  ENOENT = -2,
  EIO = -5,
  EAGAIN = -11,
  ENOMEM = -12,
  EFAULT = -14,
  EBUSY = -16,
  EEXIST = -17,
  ENODEV = -19,
  EINVAL = -22,
  ENOSPC = -28,
  EPIPE = -32,
  EDEADLK = -35,
  EPROTO = -71,
  EMSGSIZE = -90,
  EADDRINUSE = -98,
  EADDRNOTAVAIL = -99,
  ENETDOWN = -100,
  ENETUNREACH = -101,
  ECONNABORTED = -103,
  ECONNRESET = -104,
  ENOBUFS = -105,
  EISCONN = -106,
  ENOTCONN = -107,
  ETIMEDOUT = -110,
  ECONNREFUSED = -111,
  EHOSTUNREACH = -113,
  ECANCELED = -125,
  /** Who held the lock was ended by a trap: what it guards may be half changed. */
  EOWNERDEAD = -130,
  /** The fiber was ended by a trap. Not of POSIX. */
  ETRAP = -200,
}
