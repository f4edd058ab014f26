/* The device code, as bytes in the read-only data. FUMI_FATBIN is the file that nvcc made. */
    .section .rodata
    .global fumi_fatbin_begin
    .global fumi_fatbin_end
    .hidden fumi_fatbin_begin
    .hidden fumi_fatbin_end
    .balign 64
fumi_fatbin_begin:
    .incbin FUMI_FATBIN
fumi_fatbin_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
