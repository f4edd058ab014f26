/* Where comparisons of two functions (mapping/compare.h) are recorded: between the hook, which has the
 * configuration and the session, and the torch side.
 */
#ifndef FUMI_MAPPING_COMPARISONS_H
#define FUMI_MAPPING_COMPARISONS_H
#include <stdint.h>

#define FUMI_COMPARE_C
#include "mapping/compare.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the hook offers. Called on the program's threads; none throws. */
struct FumiComparisonRecorder {
    int32_t (*wanted)(const char* api); /* whether comparisons of this name are made */
    void (*enter)(void);                /* from here to leave() the thread's library calls are FuMi's own */
    void (*leave)(void);
    void (*record)(const struct FumiComparisonResult*, int64_t start_ns, int64_t check_ns);
    int64_t scratch_bytes;
};

/* *recorder must stay. */
void fumi_torch_record_comparisons(const struct FumiComparisonRecorder* recorder);

typedef void (*fumi_torch_record_comparisons_t)(const struct FumiComparisonRecorder*);

#ifdef __cplusplus
}
#endif
#endif
