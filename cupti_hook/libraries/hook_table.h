// All hooks, one list per file that defines them.
#pragma once
#include <span>
#include <vector>

#include "cupti_hook/interpose/interpose.h"

namespace fumi::libraries {

std::span<const interpose::Hook> cublas_gemm_hooks() noexcept;    // gemm of every kind: checked
std::span<const interpose::Hook> cublas_vector_hooks() noexcept;  // gemv and dot: checked
std::span<const interpose::Hook> cublas_traced_hooks() noexcept;  // other arithmetic: told, not checked
std::span<const interpose::Hook> cublaslt_hooks() noexcept;       // cublasLtMatmul: checked
std::span<const interpose::Hook> cudnn_graph_hooks() noexcept;    // the backend API
// cuDNN's functions of their own, by family.
std::span<const interpose::Hook> cudnn_convolution_hooks() noexcept;
std::span<const interpose::Hook> cudnn_norm_hooks() noexcept;
std::span<const interpose::Hook> cudnn_rnn_hooks() noexcept;
std::span<const interpose::Hook>
cudnn_pointwise_hooks() noexcept;  // softmax, pooling, activation and the like
std::span<const interpose::Hook> cudnn_sampling_hooks() noexcept;  // CTC, spatial transformer, dropout
std::span<const interpose::Hook> cublas_handle_hooks() noexcept;  // what a program sets in its handles: noted
std::span<const interpose::Hook> context_hooks() noexcept;        // the end of contexts: told

std::vector<interpose::Hook> all_hooks();

}  // namespace fumi::libraries
