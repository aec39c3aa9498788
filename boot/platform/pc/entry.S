// PVH entry: a VMM, or our boot sector, enters here in 32-bit protected mode without paging, with the physical address of
// `struct hvm_start_info` in EBX (Xen's docs/misc/pvh.pandoc). From here to long mode on identity page tables of the first
// 4 GiB; paging.c replaces them by the kernel's own, which know W^X.

#define PTE_PRESENT_WRITE 0x3
#define PTE_LARGE 0x80
#define CR0_VALUE 0x80010033  /* PG WP NE ET MP PE: caches on, EM and TS off */
#define CR4_VALUE 0x620       /* OSXMMEXCPT OSFXSR PAE */
#define MSR_EFER 0xC0000080
#define EFER_VALUE 0x900      /* NXE LME */

        .section .note.pvh, "a", @note
        .balign 4
        .long 4, 8, 18              // "Xen", 8 bytes, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .quad pvh_entry

        // What boot/image/elf.ts writes when it puts a bundle into the image: where the segment with it is loaded, its bytes,
        // the name of the appliance.
        .long 7, 48, 1              // "Heddle", 48 bytes, type 1
        .asciz "Heddle\0"
        .globl image_slot
image_slot:
        .quad 0, 0
        .space 32

        .section .text.entry, "ax"
        .code32
        .globl pvh_entry
pvh_entry:
        cli
        cld
        movl %ebx, %esi
        rdtsc
        movl %eax, entry_tsc
        movl %edx, entry_tsc + 4

        movl $0x80000001, %eax      // a CPU without long mode or NX cannot run this
        cpuid
        andl $0x20100000, %edx
        cmpl $0x20100000, %edx
        jne unsupported

        movl $boot_pml4, %edi
        movl $(boot_pdpt + PTE_PRESENT_WRITE), (%edi)
        movl $boot_pdpt, %edi
        movl $(boot_pd + PTE_PRESENT_WRITE), %eax
        movl $4, %ecx
1:      movl %eax, (%edi)
        addl $0x1000, %eax
        addl $8, %edi
        loop 1b
        movl $boot_pd, %edi
        movl $(PTE_PRESENT_WRITE + PTE_LARGE), %eax
        movl $2048, %ecx
2:      movl %eax, (%edi)
        addl $0x200000, %eax
        addl $8, %edi
        loop 2b

        movl $CR4_VALUE, %eax
        movl %eax, %cr4
        movl $boot_pml4, %eax
        movl %eax, %cr3
        movl $MSR_EFER, %ecx
        movl $EFER_VALUE, %eax
        xorl %edx, %edx
        wrmsr
        movl $CR0_VALUE, %eax
        movl %eax, %cr0
        lgdt boot_gdt_pointer
        ljmp $8, $entry64

unsupported:
        movw $0x3F8, %dx            // one letter is all that can be said without a stack
        movb $'X', %al
        outb %al, %dx
3:      hlt
        jmp 3b

        .code64
entry64:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        xorl %eax, %eax
        movw %ax, %fs
        movw %ax, %gs
        movq $boot_stack_top, %rsp
        xorl %ebp, %ebp
        movl %esi, %edi
        call pc_start
        ud2

// Another CPU comes here (smp.c), at AP_PAGE in real mode: straight to long mode on the boot tables, then to the kernel's
// own, a stack and C. Each takes the next stack; one that comes when there is none left stays out.
#define AP_PAGE 0x8000

        .code16
        .globl ap_begin, ap_end
ap_begin:
        cli
        cld
        xorw %ax, %ax
        movw %ax, %ds
        movl $CR4_VALUE, %eax
        movl %eax, %cr4
        movl $boot_pml4, %eax
        movl %eax, %cr3
        movl $MSR_EFER, %ecx
        movl $EFER_VALUE, %eax
        xorl %edx, %edx
        wrmsr
        movl $CR0_VALUE, %eax
        movl %eax, %cr0
        lgdtl AP_PAGE + ap_gdt_pointer - ap_begin
        ljmpl $8, $ap_entry64
ap_gdt_pointer:
        .word 23
        .long boot_gdt
ap_end:

        .code64
ap_entry64:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        xorl %eax, %eax
        movw %ax, %fs
        movw %ax, %gs
        movq ap_root, %rax
        movq %rax, %cr3
        movl $1, %eax
        lock xaddl %eax, ap_taken
        cmpl ap_stack_count, %eax
        jae 4f
        movq ap_stacks(, %rax, 8), %rsp
        xorl %ebp, %ebp
        call pc_ap_start
4:      cli
        hlt
        jmp 4b

// run_on_stack(top, function, argument): leaves the boot stack for good.
        .globl run_on_stack
run_on_stack:
        movq %rdi, %rsp
        xorl %ebp, %ebp
        movq %rdx, %rdi
        call *%rsi
        ud2

        .section .rodata.entry, "a"
        .balign 8
boot_gdt:
        .quad 0
        .quad 0x00AF9B000000FFFF    // 8: code, 64 bits
        .quad 0x00CF93000000FFFF    // 16: data
boot_gdt_pointer:
        .word . - boot_gdt - 1
        .quad boot_gdt

        .section .bss.entry, "aw", @nobits
        .balign 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd:   .skip 4 * 4096
boot_stack:
        .skip 16384
boot_stack_top:
        .globl entry_tsc
entry_tsc: .skip 8

        .section .note.GNU-stack, "", @progbits
