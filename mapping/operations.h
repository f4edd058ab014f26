/* Operations of torch that are run again in fp64: the second interface between the hook (libfumi_cupti.so),
 * which has the configuration and the session, and the torch side (libfumi_torch.so), which has LibTorch.
 */
#ifndef FUMI_MAPPING_OPERATIONS_H
#define FUMI_MAPPING_OPERATIONS_H
#include <stdint.h>

#include "mapping/origin.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FUMI_VERDICT_NONE = 0, FUMI_VERDICT_PASS = 1, FUMI_VERDICT_WARN = 2, FUMI_VERDICT_FAIL = 3 };

/* One observed operation. Strings are UTF-8, "" where unknown, and valid during the call that hands them
 * over. Measures that do not apply are NaN. */
struct FumiOperation {
    struct FumiOrigin origin;
    const char* function;    /* aten::add_.Tensor */
    const char* shape;       /* [64, 32] [32] -> [64, 32] */
    const char* dtypes;      /* fp32,fp32,fp32: tensor arguments, then results */
    const char* not_checked; /* why it was not rerun; "" where it was, and then: */
    const char* reason;
    int64_t start_ns; /* CLOCK_REALTIME */
    int64_t check_ns;
    int64_t run_ns; /* of the operation itself */
    uint64_t site;  /* as `wanted` was asked */
    int64_t elements;
    int64_t mismatches; /* elements over their bound */
    int64_t nonfinite;
    double max_abs_err, max_rel_err, rms_rel_err;
    double backward_error; /* |e| / (u G) at the element nearest to, or furthest over, its bound */
    double bound;          /* B / (u G) there */
    double amplification;  /* G / |R|, the largest */
    int32_t verdict;       /* FUMI_VERDICT_*: NONE where the operation has no bound */
    int32_t sampled;       /* not all of its elements were checked */
};

/* What the hook offers. Called on the program's threads; none throws. */
struct FumiOperationRecorder {
    /* Whether this one is rerun; else it is not recorded. site: a hash of the operation, its line, the sizes
     * and types of its arguments, and the phase (FUMI_PHASE_*). */
    int32_t (*wanted)(const char* api, int32_t phase, uint64_t site);
    void (*enter)(void); /* from here to leave() the thread's library calls are FuMi's own */
    void (*leave)(void);
    void (*record)(const struct FumiOperation*);
    int64_t scratch_bytes;              /* an operation whose fp64 copies would take more is not rerun */
    int32_t (*capturing)(void* stream); /* is this CUstream being captured? */
    void (*open)(void);      /* the thread is in a watched operation: its library calls are the operation's */
    void (*close)(void);     /* it has ended, recorded or not */
    int64_t sample_elements; /* about as many elements are checked where that can be; 0: all */
};

/* Starts observing the operations that the tables give a bound, after fumi_torch_start. Returns 0, or -1 with
 * a message in *error (static storage). Once in a process; *recorder must stay. */
int32_t fumi_torch_watch_operations(const struct FumiOperationRecorder* recorder, const char** error);

typedef int32_t (*fumi_torch_watch_operations_t)(const struct FumiOperationRecorder*, const char**);

#ifdef __cplusplus
}
#endif
#endif
