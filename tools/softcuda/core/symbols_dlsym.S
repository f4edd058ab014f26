/* dlsym(handle, name). For the pseudo-handles RTLD_DEFAULT (0) and RTLD_NEXT (-1) the answer depends on the return
 * address, so the real one is jumped to with the caller's frame untouched. Written in assembly because a compiler may
 * turn a tail call into a call (-O0, sanitizers). x86-64, System V. */
    .text
    .globl dlsym
    .type dlsym, @function
dlsym:
    .cfi_startproc
    endbr64
    leaq 1(%rdi), %rax
    cmpq $1, %rax
    jbe 1f
    movq (%rsp), %rdx  /* who asks */
    jmp softcuda_dlsym_in@PLT
1:  movq softcuda_real_dlsym@GOTPCREL(%rip), %rax
    movq (%rax), %rax
    testq %rax, %rax
    jne 2f
    pushq %rdi
    .cfi_adjust_cfa_offset 8
    pushq %rsi
    .cfi_adjust_cfa_offset 8
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    call softcuda_find_real_dlsym@PLT
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %rsi
    .cfi_adjust_cfa_offset -8
    popq %rdi
    .cfi_adjust_cfa_offset -8
2:  jmp *%rax
    .cfi_endproc
    .size dlsym, .-dlsym
    .section .note.GNU-stack,"",@progbits
