// cuDNN's CTC loss. Errors are those that cuDNN's documentation of each function lists.
#include <numeric>

#include "tools/softcuda/core/device.h"
#include "tools/softcuda/dnn/legacy/call.h"
#include "tools/softcuda/dnn/legacy/ctc.h"
#include "tools/softcuda/dnn/legacy/real_function.h"

namespace softcuda::dnn::legacy {
namespace {

using faults::Kind;

constexpr int most_labels = 256;  // of the deterministic algorithm

cudnnStatus_t read_descriptor(cudnnCTCLossDescriptor_t descriptor, Ctc& ctc) noexcept {
    const auto get = SOFTCUDA_REAL_CUDNN(cudnnGetCTCLossDescriptor_v9);
    if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (get == nullptr) return CUDNN_STATUS_NOT_INITIALIZED;
    cudnnDataType_t type{};
    cudnnLossNormalizationMode_t normalization{};
    cudnnCTCGradMode_t gradients{};
    int longest = 0;
    if (const auto status = get(descriptor, &type, &normalization, &gradients, &longest)) return status;
    if (type != CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED;
    ctc.softmax = normalization == CUDNN_LOSS_NORMALIZATION_SOFTMAX;
    ctc.skip_misfits = gradients == CUDNN_CTC_SKIP_OOB_GRADIENTS;
    ctc.longest = longest;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t read_ctc(Ctc& ctc, cudnnCTCLossAlgo_t algorithm, cudnnCTCLossDescriptor_t descriptor,
                       cudnnTensorDescriptor_t inputs, cudnnTensorDescriptor_t gradients) noexcept {
    if (algorithm != CUDNN_CTC_LOSS_ALGO_DETERMINISTIC && algorithm != CUDNN_CTC_LOSS_ALGO_NON_DETERMINISTIC)
        return CUDNN_STATUS_NOT_SUPPORTED;
    if (inputs == nullptr) return CUDNN_STATUS_BAD_PARAM;
    if (const auto status = read_descriptor(descriptor, ctc)) return status;
    if (const auto status = read(inputs, ctc.inputs)) return status;
    if (ctc.inputs.rank != 3) return CUDNN_STATUS_BAD_PARAM;
    if (ctc.inputs.type != CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED;
    if (gradients == nullptr) return CUDNN_STATUS_SUCCESS;
    if (const auto status = read(gradients, ctc.gradients)) return status;
    return ctc.gradients.same_sizes(ctc.inputs) && ctc.gradients.type == ctc.inputs.type
               ? CUDNN_STATUS_SUCCESS
               : CUDNN_STATUS_BAD_PARAM;
}

// Two tables of paths for each sample, for labels of this length.
std::size_t workspace_bytes(const Ctc& ctc, std::int64_t longest) noexcept {
    return static_cast<std::size_t>(ctc.steps() * ctc.batch() * (2 * longest + 1) * 2) * sizeof(float);
}
std::int64_t longest_of(const Ctc& ctc) noexcept {
    return ctc.longest == 0 ? most_labels : ctc.longest;
}

// Labels, label lengths and input lengths as of now: the host may change them after the call.
cudnnStatus_t copy_host(Ctc& ctc, const int* labels, const int* label_lengths, const int* input_lengths,
                        std::int64_t& longest) {
    if (labels == nullptr || label_lengths == nullptr || input_lengths == nullptr)
        return CUDNN_STATUS_BAD_PARAM;
    std::vector<int> copy(label_lengths, label_lengths + ctc.batch());
    copy.insert(copy.end(), input_lengths, input_lengths + ctc.batch());
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < ctc.batch(); ++i) {
        if (label_lengths[i] < 0 || input_lengths[i] < 0 || input_lengths[i] > ctc.steps())
            return CUDNN_STATUS_BAD_PARAM;
        longest = std::max<std::int64_t>(longest, label_lengths[i]);
        count += label_lengths[i];
    }
    copy.insert(copy.end(), labels, labels + count);
    for (std::int64_t i = 0; i < count; ++i)
        if (labels[i] < 0 || labels[i] >= ctc.classes()) return CUDNN_STATUS_BAD_PARAM;
    ctc.host = std::make_shared<const std::vector<int>>(std::move(copy));
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t launch(cudnnHandle_t handle, const char* function, const Ctc& ctc) {
    Call call{
        function, "ctc_loss_f32", {ctc.batch(), ctc.classes(), ctc.steps(), 1}, [ctc](Deviation& deviation) {
            run(ctc, deviation);
        }};
    call.results = [ctc] {
        std::vector<faults::View> views{{host_view(ctc.costs), CUDA_R_32F, ctc.batch(), 1, 1, ctc.batch()}};
        if (ctc.gradient_data == nullptr) return views;
        auto* base = static_cast<float*>(host_view(ctc.gradient_data));
        for (std::int64_t i = 0; i < ctc.batch(); ++i)
            views.push_back({base + i * ctc.gradients.stride[1], CUDA_R_32F, ctc.classes(), ctc.steps(),
                             ctc.gradients.stride[2], ctc.gradients.stride[0]});
        return views;
    };
    call.plants = {Kind::round_inputs_bf16, Kind::round_inputs_tf32, Kind::fp16_accumulate};
    return enqueue(handle, std::move(call));
}

}  // namespace
}  // namespace softcuda::dnn::legacy

using namespace softcuda::dnn::legacy;

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnCTCLoss_v8(cudnnHandle_t handle, cudnnCTCLossAlgo_t algorithm,
                                                  cudnnCTCLossDescriptor_t descriptor,
                                                  const cudnnTensorDescriptor_t inputs_desc,
                                                  const void* inputs, const int labels[],
                                                  const int label_lengths[], const int input_lengths[],
                                                  void* costs, const cudnnTensorDescriptor_t gradients_desc,
                                                  void* gradients, std::size_t workspace_size,
                                                  void* workspace) {
    return entry(handle, [&] {
        Ctc ctc;
        if (const auto status = read_ctc(ctc, algorithm, descriptor, inputs_desc, gradients_desc))
            return status;
        if (inputs == nullptr || costs == nullptr || labels == nullptr || label_lengths == nullptr ||
            input_lengths == nullptr || (gradients != nullptr && gradients_desc == nullptr))
            return CUDNN_STATUS_BAD_PARAM;
        if (workspace == nullptr || workspace_size < workspace_bytes(ctc, longest_of(ctc)))
            return CUDNN_STATUS_BAD_PARAM;
        ctc.input_data = inputs;
        ctc.costs = costs;
        ctc.gradient_data = gradients;
        ctc.labels = labels;
        ctc.label_lengths = label_lengths;
        ctc.input_lengths = input_lengths;
        return launch(handle, "cudnnCTCLoss_v8", ctc);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t
cudnnCTCLoss(cudnnHandle_t handle, const cudnnTensorDescriptor_t inputs_desc, const void* inputs,
             const int labels[], const int label_lengths[], const int input_lengths[], void* costs,
             const cudnnTensorDescriptor_t gradients_desc, void* gradients, cudnnCTCLossAlgo_t algorithm,
             cudnnCTCLossDescriptor_t descriptor, void* workspace, std::size_t workspace_size) {
    return entry(handle, [&] {
        Ctc ctc;
        std::int64_t longest = 0;
        if (const auto status = read_ctc(ctc, algorithm, descriptor, inputs_desc, gradients_desc))
            return status;
        if (inputs == nullptr || costs == nullptr || (gradients != nullptr && gradients_desc == nullptr))
            return CUDNN_STATUS_BAD_PARAM;
        if (const auto status = copy_host(ctc, labels, label_lengths, input_lengths, longest)) return status;
        if (algorithm == CUDNN_CTC_LOSS_ALGO_DETERMINISTIC && longest > most_labels)
            return CUDNN_STATUS_NOT_SUPPORTED;
        if (workspace == nullptr || workspace_size < workspace_bytes(ctc, longest))
            return CUDNN_STATUS_BAD_PARAM;
        ctc.longest = 0;
        ctc.input_data = inputs;
        ctc.costs = costs;
        ctc.gradient_data = gradients;
        return launch(handle, "cudnnCTCLoss", ctc);
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t cudnnGetCTCLossWorkspaceSize_v8(
    cudnnHandle_t handle, cudnnCTCLossAlgo_t algorithm, cudnnCTCLossDescriptor_t descriptor,
    const cudnnTensorDescriptor_t inputs_desc, const cudnnTensorDescriptor_t gradients_desc,
    std::size_t* size) {
    return entry(handle, [&] {
        Ctc ctc;
        if (size == nullptr) return CUDNN_STATUS_BAD_PARAM;
        if (const auto status = read_ctc(ctc, algorithm, descriptor, inputs_desc, gradients_desc))
            return status;
        *size = workspace_bytes(ctc, longest_of(ctc));
        return CUDNN_STATUS_SUCCESS;
    });
}

SOFTCUDA_DNN_EXPORT cudnnStatus_t
cudnnGetCTCLossWorkspaceSize(cudnnHandle_t handle, const cudnnTensorDescriptor_t inputs_desc,
                             const cudnnTensorDescriptor_t gradients_desc, const int* labels,
                             const int* label_lengths, const int* input_lengths, cudnnCTCLossAlgo_t algorithm,
                             cudnnCTCLossDescriptor_t descriptor, std::size_t* size) {
    return entry(handle, [&] {
        Ctc ctc;
        std::int64_t longest = 0;
        if (size == nullptr) return CUDNN_STATUS_BAD_PARAM;
        if (const auto status = read_ctc(ctc, algorithm, descriptor, inputs_desc, gradients_desc))
            return status;
        if (const auto status = copy_host(ctc, labels, label_lengths, input_lengths, longest)) return status;
        if (algorithm == CUDNN_CTC_LOSS_ALGO_DETERMINISTIC && longest > most_labels)
            return CUDNN_STATUS_NOT_SUPPORTED;
        *size = workspace_bytes(ctc, longest);
        return CUDNN_STATUS_SUCCESS;
    });
}
