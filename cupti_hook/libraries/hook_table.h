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
std::span<const interpose::Hook> cudnn_legacy_hooks() noexcept;   // functions of their own
std::span<const interpose::Hook> context_hooks() noexcept;        // the end of contexts: told

std::vector<interpose::Hook> all_hooks();

}  // namespace fumi::libraries
