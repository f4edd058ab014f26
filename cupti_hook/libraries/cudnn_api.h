// The Get functions of cuDNN by which its calls are decoded, and the backend API's own, for engine facts.
#pragma once
#include <cudnn.h>

namespace fumi::libraries {

// clang-format off
#define FUMI_CUDNN_FUNCTIONS(X) \
    X(cudnnGetVersion) X(cudnnGetStream) X(cudnnGetErrorString) \
    X(cudnnBackendCreateDescriptor) X(cudnnBackendGetAttribute) X(cudnnBackendDestroyDescriptor)
// Of sublibraries that a program may do without.
#define FUMI_CUDNN_LEGACY_FUNCTIONS(X) \
    X(cudnnGetTensorNdDescriptor) X(cudnnGetFilterNdDescriptor) \
    X(cudnnGetConvolutionNdDescriptor) X(cudnnGetConvolutionGroupCount) X(cudnnGetConvolutionMathType) \
    X(cudnnGetPoolingNdDescriptor) X(cudnnGetActivationDescriptor) X(cudnnGetDropoutDescriptor) \
    X(cudnnGetRNNDescriptor_v8) X(cudnnGetRNNDataDescriptor) X(cudnnGetRNNWeightParams) X(cudnnRNNGetClip_v9) \
    X(cudnnGetCTCLossDescriptor_v9) X(cudnnGetCTCLossDescriptorEx) \
    X(cudnnCreateTensorDescriptor) X(cudnnDestroyTensorDescriptor)
// clang-format on

struct CudnnApi {
#define FUMI_MEMBER(name) decltype(&::name) name = nullptr;
    FUMI_CUDNN_FUNCTIONS(FUMI_MEMBER)
    FUMI_CUDNN_LEGACY_FUNCTIONS(FUMI_MEMBER)
#undef FUMI_MEMBER
};

// nullptr while cuDNN is not in the process, or lacks one of the first list. Those of the second may be null.
const CudnnApi* cudnn_api() noexcept;

inline constexpr const char* cudnn_soname = "libcudnn.so.9";
// Exports the backend API too; programs that link it alone reach it there.
inline constexpr const char* cudnn_graph_soname = "libcudnn_graph.so.9";

}  // namespace fumi::libraries
