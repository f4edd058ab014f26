// CTC, the spatial transformer, dropout, and the multi-head attention that came before the backend API.
#include "cupti_hook/libraries/cudnn_legacy.h"
#include "cupti_hook/libraries/hook_table.h"

namespace fumi::libraries {

namespace {

void read_ctc(Call& call, DnnCall& dnn, cudnnCTCLossDescriptor_t descriptor) noexcept {
    const CudnnApi& api = *cudnn_api();
    cudnnDataType_t type{};
    cudnnLossNormalizationMode_t normalization{};
    cudnnCTCGradMode_t gradients{};
    cudnnNanPropagation_t nan{};
    int longest = 0;
    if (api.cudnnGetCTCLossDescriptor_v9 != nullptr &&
        api.cudnnGetCTCLossDescriptor_v9(descriptor, &type, &normalization, &gradients, &longest) ==
            CUDNN_STATUS_SUCCESS) {
        dnn.ctc.most_labels = longest;
        dnn.ctc.skips_out_of_range = gradients == CUDNN_CTC_SKIP_OOB_GRADIENTS;
    } else if (api.cudnnGetCTCLossDescriptorEx == nullptr ||
               api.cudnnGetCTCLossDescriptorEx(descriptor, &type, &normalization, &nan) !=
                   CUDNN_STATUS_SUCCESS) {
        return refuse(call, "the descriptors cannot be read");
    }
    dnn.ctc.softmax = normalization == CUDNN_LOSS_NORMALIZATION_SOFTMAX;
    dnn.compute_type = data_type(type);
}

void add_ctc(Call& call, DnnCall& dnn, cudnnTensorDescriptor_t x_desc, const void* x, void* costs,
             cudnnTensorDescriptor_t gradients_desc, void* gradients) noexcept {
    add_tensor(call, dnn, DnnRole::x, x_desc, x);
    add_tensor(call, dnn, DnnRole::dx, gradients_desc, gradients);
    const DnnTensor* const inputs = dnn.find(DnnRole::x);
    add_values(call, dnn, DnnRole::costs, DataType::f32, inputs == nullptr ? 0 : inputs->size[1], costs);
}

void ctc_v8(Call& call, cudnnHandle_t handle, cudnnCTCLossAlgo_t algorithm,
            cudnnCTCLossDescriptor_t descriptor, cudnnTensorDescriptor_t x_desc, const void* x,
            const int* labels, const int* label_lengths, const int* input_lengths, void* costs,
            cudnnTensorDescriptor_t gradients_desc, void* gradients, std::size_t, void*) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::ctc_loss);
    if (dnn == nullptr) return;
    read_ctc(call, *dnn, descriptor);
    dnn->algorithm = algorithm;
    add_ctc(call, *dnn, x_desc, x, costs, gradients_desc, gradients);
    const std::int64_t batch = dnn->find(DnnRole::x) == nullptr ? 0 : dnn->find(DnnRole::x)->size[1];
    add_values(call, *dnn, DnnRole::labels, DataType::i32, 0, labels);
    add_values(call, *dnn, DnnRole::label_lengths, DataType::i32, batch, label_lengths);
    add_values(call, *dnn, DnnRole::input_lengths, DataType::i32, batch, input_lengths);
}

void ctc(Call& call, cudnnHandle_t handle, cudnnTensorDescriptor_t x_desc, const void* x, const int*,
         const int*, const int*, void* costs, cudnnTensorDescriptor_t gradients_desc, void* gradients,
         cudnnCTCLossAlgo_t algorithm, cudnnCTCLossDescriptor_t descriptor, void*, std::size_t) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::ctc_loss);
    if (dnn == nullptr) return;
    read_ctc(call, *dnn, descriptor);
    dnn->algorithm = algorithm;
    dnn->ctc.labels_on_host = true;
    add_ctc(call, *dnn, x_desc, x, costs, gradients_desc, gradients);
    refuse(call, "the labels lie on the host");
}

void add_grid(Call& call, DnnCall& dnn, DnnRole role, const void* data, const DnnTensor* output) noexcept {
    if (output == nullptr || output->rank != 4) return refuse(call, "a grid of other than two dimensions");
    add_values(call, dnn, role, output->type, 0, data);
    DnnTensor* const grid = dnn.tensor_count > 0 ? &dnn.tensors[dnn.tensor_count - 1] : nullptr;
    if (grid == nullptr || grid->role != role) return;
    grid->rank = 4;  // N, H, W, 2; contiguous
    const std::int64_t n = output->size[0], h = output->size[2], w = output->size[3];
    const std::int64_t size[] = {n, h, w, 2}, stride[] = {h * w * 2, w * 2, 2, 1};
    for (int i = 0; i < 4; ++i) {
        grid->size[i] = size[i];
        grid->stride[i] = stride[i];
    }
}

void sampler_forward(Call& call, cudnnHandle_t handle, cudnnSpatialTransformerDescriptor_t, const void* alpha,
                     cudnnTensorDescriptor_t x_desc, const void* x, const void* grid, const void* beta,
                     cudnnTensorDescriptor_t y_desc, void* y) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::grid_sample_forward);
    if (dnn == nullptr) return;
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_tensor(call, *dnn, DnnRole::y, y_desc, y);
    add_grid(call, *dnn, DnnRole::grid, grid, dnn->find(DnnRole::y));
    set_scalars(*dnn, alpha, beta);
}

void sampler_backward(Call& call, cudnnHandle_t handle, cudnnSpatialTransformerDescriptor_t,
                      const void* alpha, cudnnTensorDescriptor_t x_desc, const void* x, const void* beta,
                      cudnnTensorDescriptor_t dx_desc, void* dx, const void* grid_alpha,
                      cudnnTensorDescriptor_t dy_desc, const void* dy, const void* grid,
                      const void* grid_beta, void* dgrid) noexcept {
    DnnCall* const dnn = begin_dnn(call, handle, DnnOperation::grid_sample_backward);
    if (dnn == nullptr) return;
    add_tensor(call, *dnn, DnnRole::x, x_desc, x);
    add_tensor(call, *dnn, DnnRole::dx, dx_desc, dx);
    add_tensor(call, *dnn, DnnRole::dy, dy_desc, dy);
    add_grid(call, *dnn, DnnRole::grid, grid, dnn->find(DnnRole::dy));
    add_grid(call, *dnn, DnnRole::dgrid, dgrid, dnn->find(DnnRole::dy));
    set_scalars(*dnn, alpha, beta);
    dnn->grid_alpha = host_scalar(grid_alpha, dnn->tensors[0].type, 1);
    dnn->grid_beta = host_scalar(grid_beta, dnn->tensors[0].type, 0);
}

// Told, without reference.
template <class... Args>
void traced(Call& call, cudnnHandle_t handle, const Args&...) noexcept {
    if (begin_dnn(call, handle, DnnOperation::other) != nullptr) call.not_checkable = no_reference;
}

// clang-format off
#define FUMI_SAMPLING_FUNCTIONS(X) \
    X(cudnnCTCLoss, ctc) X(cudnnCTCLoss_v8, ctc_v8) \
    X(cudnnSpatialTfSamplerForward, sampler_forward) X(cudnnSpatialTfSamplerBackward, sampler_backward) \
    X(cudnnSpatialTfGridGeneratorForward, traced) X(cudnnSpatialTfGridGeneratorBackward, traced) \
    X(cudnnDropoutForward, traced) X(cudnnDropoutBackward, traced) \
    X(cudnnMultiHeadAttnForward, traced) X(cudnnMultiHeadAttnBackwardData, traced) \
    X(cudnnMultiHeadAttnBackwardWeights, traced)
// clang-format on
FUMI_SAMPLING_FUNCTIONS(FUMI_CUDNN_TAG)

#define FUMI_LINE(function, decoder) FUMI_HOOK(function, cudnn_soname)
const interpose::Hook hooks[] = {FUMI_SAMPLING_FUNCTIONS(FUMI_LINE)};

}  // namespace

std::span<const interpose::Hook> cudnn_sampling_hooks() noexcept {
    return hooks;
}

}  // namespace fumi::libraries
