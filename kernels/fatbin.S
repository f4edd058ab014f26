/* One device image, as bytes in the read-only data. FUMI_FATBIN is the file that nvcc made, FUMI_IMAGE_BEGIN and _END its
 * symbols. */
    .section .rodata
    .global FUMI_IMAGE_BEGIN
    .global FUMI_IMAGE_END
    .hidden FUMI_IMAGE_BEGIN
    .hidden FUMI_IMAGE_END
    .balign 64
FUMI_IMAGE_BEGIN:
    .incbin FUMI_FATBIN
FUMI_IMAGE_END:
    .byte 0
    .section .note.GNU-stack, "", %progbits
