// The strings of a session's row, of a cuDNN call (call_text.h).
#pragma once
#include <string>

#include "cupti_hook/libraries/call.h"

namespace fumi::libraries {

// convolution_forward x=8x3x32x32 w=16x3x3x3 s=1 p=1 d=1 g=1 NHWC k=27
std::string dnn_shape_text(const Call& call);
std::string dnn_dtypes_text(const Call& call);        // of x, w, y; q, k, v, o; x, scale, y
std::string dnn_compute_type_text(const Call& call);  // 32F; 32F_FAST_TF32 where fp32 may be multiplied so
std::string dnn_epilogue_text(const Call& call);      // ADD_BIAS_RELU
std::string dnn_algorithm_text(const Call& call);     // engine=12 winograd TILE_4x4 split_k=2
std::string dnn_graph_text(const Call& call);         // a graph of matmul, reduction and pointwise:add
std::string dnn_status_text(int status);              // CUDNN_STATUS_NOT_SUPPORTED

}  // namespace fumi::libraries
