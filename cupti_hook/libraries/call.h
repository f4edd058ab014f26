// One intercepted library call, decoded. Plain data without ownership: it is filled on the caller's stack and
// copied into the queue of the drainer, which makes strings of it later (call_text.h).
#pragma once
#include <cuda.h>

#include <cstdint>

#include "cupti_hook/libraries/reissue.h"
#include "kernels/gemm_problem.h"

namespace fumi::libraries {

enum class Library : std::uint8_t { cublas, cublasLt, cudnn };

struct DnnCall;  // cudnn_call.h

// What is known of the algorithm of a call; -1 where unknown.
struct Algorithm {
    std::int32_t id = -1;      // cublasGemmAlgo_t of a cublas call, CUBLASLT_ALGO_CONFIG_ID of a cublasLt one
    std::int32_t tile = -1;    // cublasLtMatmulTile_t
    std::int32_t stages = -1;  // cublasLtMatmulStages_t
    std::int32_t split_k = -1;   // parts that the sum over k is split into
    std::int32_t reduction = 0;  // cublasLtReductionScheme_t
    bool from_lt = false;
};

// Reasons why a call has no check are static strings. This one is completed with the function's name
// (call_text.h).
inline constexpr char no_reference[] = "no reference for ";
inline constexpr char unknown_epilogue[] = "no reference for this epilogue";
inline constexpr char no_graph_reference[] = "no reference for this graph";  // its operations are named

struct Call {
    Library library = Library::cublas;
    const char* function = "";  // static
    bool decoded = false;  // the fields from problem to algorithm (cudnn: what dnn points at) mean something
    // A cudnn call's own, in place of the fields from problem to algorithm. Storage of the calling thread
    // until the call is recorded, of the ring's entry from then on.
    const DnnCall* dnn = nullptr;
    GemmProblem problem;
    char op_a = 'N', op_b = 'N';     // N, T or C, as the caller said it
    std::int32_t compute_type = -1;  // cublasComputeType_t
    std::int32_t math_mode = 0;      // cublasMath_t of the handle; 0 for cublasLt, which has none
    std::int32_t epilogue = 1;       // cublasLtEpilogue_t
    bool fast_accumulation = false;  // CUBLASLT_MATMUL_DESC_FAST_ACCUM
    bool output_on_host = false;     // problem.d.data is host memory: a dot in host pointer mode
    Algorithm algorithm;
    void* handle = nullptr;
    const void* descriptor = nullptr;  // cublasLtMatmulDesc_t, the caller's; usable as long as `again` is
    CUstream stream = nullptr;
    std::size_t workspace_bytes = 0;  // that the call itself was given; a handle's is known to the handle
    PointerPlaces places;
    Reissue again;                        // usable until the observer's after() returns
    const char* not_checkable = nullptr;  // why no check is possible; nullptr where one is
};

// The compute type that the call and its handle's math mode ask for together: cublasSgemm under
// CUBLAS_TF32_TENSOR_OP_MATH is 32F_FAST_TF32. -1 where unknown.
std::int32_t effective_compute_type(const Call& call) noexcept;

}  // namespace fumi::libraries
