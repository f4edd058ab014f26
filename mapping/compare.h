/* Two implementations of one function, run on the same inputs and compared by FuMi's verdicts (docs/modes.md,
 * custom_function). For C++:
 *
 *     auto [out, comparison] =
 *         fumi::compare("scaled_dot_product_attention", old_attention, new_attention, q, k, v);
 *     std::puts(comparison.text().c_str());
 *
 * `out` is what old_attention returned; new_attention ran on copies of the arguments, without autograd, from
 * the same state of the random generators, and left no trace; what it threw is in comparison.not_checked.
 * Under `fumi run` the comparison is in the session as well.
 *
 * All of it is in libfumi_torch.so, by the C interface at the head of this file; the C++ part needs
 * LibTorch's headers and nothing to link but libdl. The library is the one that FuMi has brought into the
 * process, else the one that FUMI_LIB_DIR or the loader finds; without one the first function runs alone and
 * not_checked says so.
 */
#ifndef FUMI_COMPARE_H
#define FUMI_COMPARE_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FUMI_COMPARE_ABI 1

/* Strided memory on a device of torch. sizes and strides (in elements) have `dimensions` entries. */
struct FumiTensor {
    void* data;
    const int64_t* sizes;
    const int64_t* strides;
    int64_t dimensions;
    const char* dtype;  /* bfloat16 */
    const char* device; /* cuda:0 */
};

enum {
    FUMI_ARGUMENT_NONE = 0,
    FUMI_ARGUMENT_TENSOR = 1,
    FUMI_ARGUMENT_BOOL = 2,
    FUMI_ARGUMENT_INT = 3,
    FUMI_ARGUMENT_DOUBLE = 4,
    FUMI_ARGUMENT_INTS = 5,
    FUMI_ARGUMENT_STRING = 6
};

struct FumiArgument {
    const char* name; /* NULL: by its place */
    int32_t kind;     /* FUMI_ARGUMENT_* */
    int64_t integer;  /* BOOL, INT */
    double number;
    const int64_t* integers; /* INTS */
    int64_t count;
    const char* text;
    const struct FumiTensor* tensor;
};

/* e = value - reference. Measures that do not apply are NaN. */
struct FumiMeasure {
    const char* what;    /* "first against second" | "first against fp64" | "second against fp64" | ... */
    const char* verdict; /* pass | warn | fail; "" where there is no bound */
    const char* reason;
    int64_t elements, mismatches /* over their bound */, nonfinite;
    double max_abs_err, max_rel_err, rms_rel_err;
    double eta;       /* |e| / (u G) at the element nearest to, or furthest over, its bound */
    double bound;     /* B / (u G) there */
    double kappa;     /* G / |R|, the largest */
    double ratio;     /* the largest |e| / B */
    double symmetric; /* the Python FuMi's: max |a - b| / |a + b|, and norms */
    double sum_value, sum_reference, max_value, max_reference;
};

/* Valid until fumi_comparison_free. */
struct FumiComparisonResult {
    const char* name; /* torch.nn.functional.scaled_dot_product_attention where torch has the function */
    const char* location;
    const char* module;
    const char* shape;
    const char* dtypes;
    const char* verdict;     /* the worst of the measures */
    const char* reason;      /* of that one */
    const char* not_checked; /* why nothing was compared; "" where it was */
    int64_t count;
    const struct FumiMeasure* measures;
};

enum {
    FUMI_OUTPUT_FIRST = 0,
    FUMI_OUTPUT_SECOND = 1,
    FUMI_OUTPUT_FIRST_FP64 = 2,
    FUMI_OUTPUT_SECOND_FP64 = 3
};

struct FumiComparison;

/* Before the first function runs. cuda: whether CUDA is initialised (its generators are saved then). NULL
 * where there is nothing to compare: another comparison is under way on this thread, or the configuration
 * leaves comparisons out. With Python: under the GIL. */
struct FumiComparison* fumi_comparison_begin(uint32_t abi, const char* name, int32_t cuda);
/* Why no comparison of this size may be made ("" where it may): bytes of the copies against limits.scratch;
 * or another torch than that of the headers that FuMi was built with. */
const char* fumi_comparison_refusal(struct FumiComparison*, int64_t bytes);
/* Of the copies that the second function gets; their memory must stay until finish. */
void fumi_comparison_argument(struct FumiComparison*, const struct FumiArgument*);
/* Around each run that is not the program's, on one thread: no autograd, no observer, the random numbers that
 * the first function got; all as it was afterwards. */
void fumi_comparison_enter(struct FumiComparison*);
void fumi_comparison_leave(struct FumiComparison*);
/* One result, in order; of: FUMI_OUTPUT_*. Its memory must stay until finish. */
void fumi_comparison_output(struct FumiComparison*, int32_t of, const struct FumiTensor*);
/* Compares, and records where FuMi watches the process. known: whether torch's own function of the name may
 * be run in fp64 for the reference. failure: why there is nothing to compare, or NULL. */
const struct FumiComparisonResult* fumi_comparison_finish(struct FumiComparison*, int32_t known,
                                                          const char* failure);
void fumi_comparison_free(struct FumiComparison*);

#ifdef __cplusplus
}
#endif
#if defined(__cplusplus) && !defined(FUMI_COMPARE_C)
#include "compare.hpp"
#endif
#endif
