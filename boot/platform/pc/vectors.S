// Interrupt and exception entries: each pushes its number (and a zero where the CPU pushes no error code), saves the
// general registers as `struct frame` (cpu.c) and calls `interrupt_entry`. All run on IST stacks with interrupts off, so
// the interrupted stack needs no headroom; the vector registers are not touched on the way (INTERRUPT_CODE).

        .macro entry
        .balign 16
        .if (number == 8) || ((number >= 10) && (number <= 14)) || (number == 17) || (number == 21) || (number == 29) || (number == 30)
        .else
        pushq $0
        .endif
        pushq $number
        jmp common
        .endm

        .text
        .balign 16
        .globl exception_entries, interrupt_entries, spurious_entry
exception_entries:                  // 0 to 31, 16 bytes each
        .set number, 0
        .rept 32
        entry
        .set number, number + 1
        .endr
        .balign 16
interrupt_entries:                  // 0x30 to 0x52
        .set number, 0x30
        .rept 0x23
        entry
        .set number, number + 1
        .endr
        .balign 16
spurious_entry:
        iretq

common:
        cld
        pushq %rax
        pushq %rcx
        pushq %rdx
        pushq %rbx
        pushq %rbp
        pushq %rsi
        pushq %rdi
        pushq %r8
        pushq %r9
        pushq %r10
        pushq %r11
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        movq %rsp, %rdi
        call interrupt_entry
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %r11
        popq %r10
        popq %r9
        popq %r8
        popq %rdi
        popq %rsi
        popq %rbp
        popq %rbx
        popq %rdx
        popq %rcx
        popq %rax
        addq $16, %rsp
        iretq

        .section .note.GNU-stack, "", @progbits
