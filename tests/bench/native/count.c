// A QEMU TCG plugin that counts guest instructions into a file, which the bench reads while the guest runs:
//
//   -plugin count.so,out=PATH
//
//   PATH (little endian, 64-bit words)
//   0   magic "HEDCOUNT"
//   1   instructions executed at addresses of the upper half (a Linux guest's kernel)
//   2   ... of the lower half (its user mode; all of a Heddle image)
//   3   blocks in the table below; those that found no room are counted in words 1 and 2 only
//   4.. (address, instructions executed there) for each block that was translated: an exact profile
//
// A block is translated again when QEMU flushes its cache: then it gets a second row of the same address. The counters are
// added to by generated code without a lock: exact for one vCPU, a lower bound for more.
//
// Argument for safety: the file is mapped once, never moved; `row` is bounded by ROWS before it is used.
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "qemu-plugin.h"

#define ROWS (1u << 18)

struct row { uint64_t address, instructions; };
struct counts {
  char magic[8];
  uint64_t upper, lower;
  _Atomic uint64_t rows;
  struct row row[ROWS];
};

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static struct counts* counts;

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  uint64_t address = qemu_plugin_tb_vaddr(tb);
  uint64_t instructions = qemu_plugin_tb_n_insns(tb);
  uint64_t* half = address >> 63 ? &counts->upper : &counts->lower;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, half, instructions);
  uint64_t row = atomic_load(&counts->rows);
  while (row < ROWS && !atomic_compare_exchange_weak(&counts->rows, &row, row + 1)) {}
  if (row >= ROWS) return;
  counts->row[row].address = address;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &counts->row[row].instructions, instructions);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t* info, int argc,
                                                                char** argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4)) {
    qemu_plugin_outs("count.so: exactly one argument is needed: out=PATH\n");
    return -1;
  }
  int fd = open(argv[0] + 4, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, sizeof *counts)) return -1;
  counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (counts == MAP_FAILED) return -1;
  memcpy(counts->magic, "HEDCOUNT", 8);
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  return 0;
}
