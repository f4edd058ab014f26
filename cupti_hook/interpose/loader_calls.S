/* What the patched slots of dlsym, dlvsym and dlopen lead to. The loader takes its caller from the return address
 * (RTLD_DEFAULT, RTLD_NEXT, RPATH, RUNPATH, $ORIGIN, namespaces), so whatever is not ours to answer is passed on by a jump,
 * with the caller's return address in place and the arguments as they came. In assembler, because no compiler promises
 * a tail call at -O0 or under a sanitizer.
 * The jumps go through our own GOT, so that a preloaded library which defines dlsym itself is asked too. */

        .text

/* entry NAME, ANSWER, PASS_ON: calls ANSWER with the arguments; returns what it returned, or jumps on where that is 0. */
.macro entry name, answer, pass_on
        .globl  \name
        .hidden \name
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
        endbr64
        pushq   %rdi
        .cfi_adjust_cfa_offset 8
        pushq   %rsi
        .cfi_adjust_cfa_offset 8
        pushq   %rdx
        .cfi_adjust_cfa_offset 8
        call    \answer         /* three pushes: the stack is aligned to 16 here */
        popq    %rdx
        .cfi_adjust_cfa_offset -8
        popq    %rsi
        .cfi_adjust_cfa_offset -8
        popq    %rdi
        .cfi_adjust_cfa_offset -8
        testq   %rax, %rax
        jz      1f
        ret
1:      jmp     *\pass_on@GOTPCREL(%rip)
        .cfi_endproc
        .size   \name, . - \name
.endm

entry fumi_interpose_dlsym,  fumi_interpose_answer_dlsym,  dlsym
entry fumi_interpose_dlvsym, fumi_interpose_answer_dlvsym, dlvsym
entry fumi_interpose_dlopen, fumi_interpose_answer_dlopen, dlopen

        .section .note.GNU-stack, "", @progbits
