// The strings of a session's row, from a decoded Call. Off the hot path.
#pragma once
#include <string>

#include "cupti_hook/libraries/call.h"

namespace fumi::libraries {

const char* library_name(Library library) noexcept;    // cublas | cublasLt | cudnn
std::string shape_text(const Call& call);              // m=64 n=128 k=32 batch=1 TN; "" where not decoded
std::string dtypes_text(const Call& call);             // of A, B, C, D: bf16,bf16,bf16,bf16
std::string compute_type_text(const Call& call);       // 32F_FAST_TF32; the math mode counts
std::string epilogue_text(const Call& call);           // RELU_BIAS; "" for cublas, which has none
std::string algorithm_text(const Call& call);          // algo=12 tile=20 stages=18 splitk=3
std::string reason_text(const Call& call);             // not_checkable, completed
std::string status_text(Library library, int status);  // CUBLAS_STATUS_NOT_SUPPORTED

}  // namespace fumi::libraries
