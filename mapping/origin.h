/* Who issued a library call: the one interface between the hook (libfumi_cupti.so) and the torch side
 * (libfumi_torch.so), in C so that the hook never links LibTorch. The hook dlopens libfumi_torch.so from its
 * own directory once libtorch_cpu.so is in the process, and works without it in programs that have no torch.
 */
#ifndef FUMI_MAPPING_ORIGIN_H
#define FUMI_MAPPING_ORIGIN_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FUMI_ORIGIN_ABI 1

/* phase of a call */
enum { FUMI_PHASE_NONE = 0, FUMI_PHASE_FORWARD = 1, FUMI_PHASE_BACKWARD = 2 };

/* Strings are UTF-8, owned by libfumi_torch.so, interned and valid for the life of the process; "" where
 * unknown. `rank` is torch.distributed's (RANK), -1 where there is none. */
struct FumiOrigin {
    const char* api;      /* torch.nn.functional.linear */
    const char* op;       /* the innermost aten op: aten::addmm */
    const char* location; /* innermost frame outside torch: train.py:31 (absolute path:line) */
    const char*
        module; /* blocks.0.mlp.fc1 (Linear): dotted path in the outermost module, class in parentheses */
    int32_t phase;
};

/* libfumi_torch.so exports exactly these. None throws, blocks on the GIL for long, or allocates without
 * bound. */

/* Starts observing ops (RecordFunction callbacks). table: path of the YAML tables' directory, or NULL for the
 * built-in ones. Returns 0, or -1 with a message in *error (static storage). Safe to call twice. */
int32_t fumi_torch_start(uint32_t abi, const char* table, const char** error);

/* Describes the calling thread's current op. Returns 1 where an op is active, else 0 (and *out is all "").
 * About a microsecond. Called on the thread that makes the library call, before the call. */
int32_t fumi_torch_origin(struct FumiOrigin* out);

typedef int32_t (*fumi_torch_start_t)(uint32_t, const char*, const char**);
typedef int32_t (*fumi_torch_origin_t)(struct FumiOrigin*);

#ifdef __cplusplus
}
#endif
#endif
