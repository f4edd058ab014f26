// What the kernels of the cuDNN checks take, and the list of these kernels. Internal to kernels/.
#pragma once
#include "kernels/dnn_check.h"

namespace fumi {

inline constexpr unsigned kDnnThreads = kCheckThreads;

// What every check kernel needs beside its problem.
struct CheckCommon {
    BoundNumbers bound;
    DnnCoverage coverage;
    ErrorStats* partials = nullptr;  // one per block
    const ResultSlot* replayed = nullptr;
};

// The sums of one element over one slice of K.
struct SlicedSums {
    double hi, lo, g, q, z;
};

struct ConvCheckParams {
    ConvProblem problem;
    CheckCommon common;
    // A cross of rows x columns in each of `batches` groups (see device/dnn/conv_places.h for what these
    // are).
    std::int64_t rows = 0, columns = 0, batches = 0;
    std::int64_t slices =
        1;  // of K. Above 1 sums go to `sums`, slice after slice, and the second kernel judges
    SlicedSums* sums = nullptr;
    ConvAlgorithm algorithm = ConvAlgorithm::unknown;
    std::int32_t is_direct = 0;  // by the algorithm: an element's error is that of its own products
    std::int32_t winograd_outputs = 0;
};

struct BatchNormCheckParams {
    BatchNormProblem problem;  // its views have neighbouring dimensions merged where their strides allow it
    CheckCommon common;
    std::int64_t channels = 0, inner = 0;  // C, and the positions of a plane
    std::int64_t groups = 0, checked = 0;  // what shares statistics: channels, or activations
    std::int64_t members = 0;              // of a group
};
struct SoftmaxCheckParams {
    SoftmaxProblem problem;
    CheckCommon common;
    std::int64_t rows = 0, checked = 0, members = 0, inner = 0;
};
struct PoolCheckParams {
    PoolProblem problem;
    CheckCommon common;
    std::int64_t elements = 0, checked = 0;  // of the output
};

struct AttentionCheckParams {
    AttentionProblem problem;
    CheckCommon common;
    std::int64_t queries = 0, keys = 0;  // rows that are looked at
    double* dots = nullptr;              // backward: dO . O and its error, for every query row
    double* work = nullptr;              // of each block: what it keeps of the pairs of one row
};

struct RnnCheckParams {
    RnnProblem problem;
    CheckCommon common;
    std::int64_t checked = 0;                       // sequences
    std::int64_t weights = 0, weights_checked = 0;  // backward_weights: of all layers
    double* work = nullptr;                         // of each block (or sequence): entry_size tracked numbers
    std::int64_t entry_size = 0, gate_size = 0, gradient_size = 0, passed_size = 0, buffer_size = 0;
    std::int64_t at_gates = 0, at_cells = 0, at_h = 0, at_gradients = 0, at_passed = 0, at_buffers = 0;
    std::int64_t at_flag = 0;
};

struct CtcCheckParams {
    CtcProblem problem;
    CheckCommon common;
    std::int64_t checked = 0;
    double* work = nullptr;
    std::int64_t entry_size = 0;  // tracked numbers of a sequence
};
struct GridSampleCheckParams {
    GridSampleProblem problem;
    CheckCommon common;
    std::int64_t elements = 0, checked = 0;  // of y, or points of the grid
    std::int64_t planes = 0, lanes = 0;      // of dx: looked at, and in scratch at a time in each block
    double* work = nullptr;
    double* sizes = nullptr;
};

// The device images: 0 holds the GEMM checks and the merge.
#define FUMI_DEVICE_IMAGES(X) X(0) X(1) X(2) X(3) X(4) X(5)

// X(name, parameters, image): the kernel fumi_<name>, in device_images()[image].
// clang-format off
#define FUMI_DNN_KERNELS(X)                  \
    X(conv_check_real, ConvCheckParams, 1)   \
    X(conv_check_double, ConvCheckParams, 1) \
    X(conv_combine, ConvCheckParams, 1)      \
    X(batch_norm_check, BatchNormCheckParams, 2) \
    X(softmax_check, SoftmaxCheckParams, 2) \
    X(pool_check, PoolCheckParams, 2) \
    X(attention_dots, AttentionCheckParams, 3) \
    X(attention_queries, AttentionCheckParams, 3) \
    X(attention_keys, AttentionCheckParams, 3) \
    X(rnn_forward_check, RnnCheckParams, 4) \
    X(rnn_backward_check, RnnCheckParams, 4) \
    X(rnn_weights_check, RnnCheckParams, 4) \
    X(ctc_check, CtcCheckParams, 5) \
    X(grid_sample_check, GridSampleCheckParams, 5) \
    X(grid_planes_check, GridSampleCheckParams, 5)
// clang-format on

namespace kernel_name {
#define FUMI_NAME_OF(name, parameters, image) inline constexpr const char* name = "fumi_" #name;
FUMI_DNN_KERNELS(FUMI_NAME_OF)
#undef FUMI_NAME_OF
}  // namespace kernel_name

}  // namespace fumi
