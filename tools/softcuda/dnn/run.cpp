#include "tools/softcuda/dnn/run.h"

#include <algorithm>

namespace softcuda::dnn {

template <class T>
void Run<T>::all() {
    for (const Operation& operation : call_.graph->operations) std::visit(*this, operation);
}

template <class T>
const blas::Buffer<T>& Run<T>::read(int index) {
    auto& value = values_[static_cast<std::size_t>(index)];
    if (value) return *value;
    const Tensor& from = tensor(index);
    value.emplace(from.count());
    const auto at = static_cast<std::size_t>(index);
    const void* data = from.by_value ? call_.host_values[at].data() : host_view(call_.pointers[at]);
    load_tensor(from, data, value->data());
    return *value;
}

template <class T>
blas::Buffer<T>& Run<T>::create(int index) {
    auto& value = values_[static_cast<std::size_t>(index)];
    return value.emplace(tensor(index).count());
}

template <class T>
void Run<T>::finish(int index) {
    const Tensor& result = tensor(index);
    // create() made it. NOLINTNEXTLINE(bugprone-unchecked-optional-access)
    auto& value = *values_[static_cast<std::size_t>(index)];
    round_values(result.type, value.data(), value.size());
    if (!result.is_virtual)
        store_tensor(result, value.data(), host_view(call_.pointers[static_cast<std::size_t>(index)]));
}

template <class T>
Operand Run<T>::operand(int index) {
    const Tensor& from = tensor(index);
    const auto at = static_cast<std::size_t>(index);
    if (from.is_virtual || from.by_value || values_[at])
        return {reinterpret_cast<const char*>(read(index).data()),
                std::is_same_v<T, double> ? CUDA_R_64F : CUDA_R_32F, from.type, from.size,
                dense_strides(from.size)};
    return {static_cast<const char*>(host_view(call_.pointers[at])), cuda_type(from.type), from.type,
            from.size, from.stride};
}

template <class T>
T Run<T>::scalar(int index, T otherwise) {
    return index < 0 ? otherwise : read(index)[0];
}

template <class T>
blas::Arithmetic Run<T>::arithmetic_for(cudnnDataType_t type) const noexcept {
    if (std::is_same_v<T, double>) return blas::Arithmetic::f64;
    if (call_.engine.algorithm != Algorithm::tensor_cores) return blas::Arithmetic::f32;
    return type == CUDNN_DATA_FLOAT ? blas::Arithmetic::tensor_tf32 : blas::Arithmetic::tensor_low;
}

template <class T>
void Run<T>::product(blas::Gemm& gemm, bool main, T* acc) {
    blas::SumFault fault;
    // Products of one index are lost in the graph's last product alone: each has indices of its own.
    const bool wanted = sabotage_ != nullptr && sabotage_->plan->kind != faults::Kind::drop_bias_row &&
                        (main || sabotage_->plan->kind != faults::Kind::drop_k);
    if (wanted) {
        if (!sabotage_->decided) {
            sabotage_->decided = true;
            sabotage_->obstacle = blas::obstacle(gemm, *sabotage_->plan);
            if (sabotage_->obstacle == nullptr)
                sabotage_->sum = blas::planted_in_sum(gemm, *sabotage_->plan, sabotage_->where).sum;
        }
        if (sabotage_->obstacle == nullptr) fault = sabotage_->sum;
    }
    blas::product<T>(gemm, 0, fault, acc);
}

template class Run<float>;
template class Run<double>;

}  // namespace softcuda::dnn
