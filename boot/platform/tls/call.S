// u64 tls_call(u8* stack, u64 (*function)(void*), void* argument): calls on another stack; the frame chain goes on.
  .text
  .globl tls_call
  .type tls_call, @function
tls_call:
  push %rbp
  mov %rsp, %rbp
  mov %rdi, %rsp
  mov %rdx, %rdi
  call *%rsi
  mov %rbp, %rsp
  pop %rbp
  ret
  .size tls_call, . - tls_call
  .section .note.GNU-stack, "", @progbits
