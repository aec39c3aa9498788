// Switch between native stacks: what the System V ABI has a callee preserve, and nothing else. The floating-point control
// words are never changed, so they are not saved.
  .text
  .globl stack_switch
  .type stack_switch, @function
  // void stack_switch(u64* save, u64 load)
stack_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rdi
  .size stack_switch, . - stack_switch

  .globl stack_resume
  .type stack_resume, @function
  // void stack_resume(u64 sp)
stack_resume:
  mov %rdi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
  .size stack_resume, . - stack_resume

  .globl stack_start
  .type stack_start, @function
stack_start:
  mov %rbx, %rdi
  mov %r12, %rsi
  xor %ebp, %ebp
  call stack_main
  ud2
  .size stack_start, . - stack_start

  .section .note.GNU-stack, "", @progbits
