// Unmanaged memory of the scheduler.

/** Zeroed memory that is never moved nor collected. */
export function heapAlloc(bytes: usize): usize {
  const at = heap.alloc(bytes);
  memory.fill(at, 0, bytes);
  return at;
}
