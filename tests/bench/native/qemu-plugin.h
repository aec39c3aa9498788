// QEMU's TCG plugin interface, version 1, as far as count.c uses it. Debian's QEMU 7.2 exports these functions and ships
// no header; the declarations are ours, after the interface's documentation (docs/devel/tcg-plugins).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;

/** Facts that `qemu_plugin_install` is given; only the name of the target is read here. */
typedef struct {
  const char* target_name;
  struct { int min, cur; } version;
  bool system_emulation;
  union {
    struct { int smp_vcpus, max_vcpus; } system;
  };
} qemu_info_t;

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_CB_R_REGS, QEMU_PLUGIN_CB_RW_REGS };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb* tb);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t callback);
/** Adds `imm` to `*counter` whenever the block runs: emitted as host instructions, not as a call. Not atomic. */
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb* tb, enum qemu_plugin_op op, void* counter, uint64_t imm);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb* tb);
void qemu_plugin_outs(const char* text);
