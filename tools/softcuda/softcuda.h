/* What softcuda offers a program that wants to run its own kernels on it, found with dlsym(RTLD_DEFAULT,
 * ...): a program that finds no such symbol runs on a GPU. */
#ifndef SOFTCUDA_H
#define SOFTCUDA_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct SoftcudaDim3 {
    uint32_t x, y, z;
};

/* The host body of one kernel: called once per block, in any order, possibly on several threads. `args` is
 * what cuLaunchKernel was given (an array of pointers to argument copies), `shared` the block's dynamic
 * shared memory. Pointers in the arguments are device addresses: add `device_offset` to one that lies in
 * [device_begin, device_end) to reach its bytes. */
struct SoftcudaBlock {
    struct SoftcudaDim3 grid_dim, block_dim, block_idx;
    void* const* args;
    void* shared;
    intptr_t device_offset;
    uintptr_t device_begin, device_end;
};
typedef void (*SoftcudaKernelBody)(const struct SoftcudaBlock*);

/* Gives the kernel called `name` (the name that cuLibraryGetKernel or cuModuleGetFunction will be asked for,
 * or the mangled name behind a cudaLaunchKernel stub) its host body and the sizes of its parameters in bytes
 * (they are copied at launch). Returns 0, or -1 for a second body under the same name. */
typedef int (*softcudaRegisterKernel_t)(const char* name, SoftcudaKernelBody body,
                                        const uint32_t* param_sizes, uint32_t param_count);
int softcudaRegisterKernel(const char* name, SoftcudaKernelBody body, const uint32_t* param_sizes,
                           uint32_t param_count);

#ifdef __cplusplus
}
#endif
#endif
