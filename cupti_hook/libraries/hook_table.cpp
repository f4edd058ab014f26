#include "cupti_hook/libraries/hook_table.h"

#include <atomic>

#include "cupti_hook/libraries/observer.h"

namespace fumi::libraries {

namespace {
constinit std::atomic<Observer*> current{nullptr};
}

void set_observer(Observer* told) noexcept {
    current.store(told, std::memory_order_release);
}
Observer* observer() noexcept {
    return current.load(std::memory_order_acquire);
}
Observer* listener() noexcept {
    Observer* const now = observer();
    return now != nullptr && now->active() ? observer() : nullptr;
}

std::vector<interpose::Hook> all_hooks() {
    std::vector<interpose::Hook> all;
    for (const auto hooks :
         {cublas_gemm_hooks(), cublas_vector_hooks(), cublas_traced_hooks(), cublaslt_hooks(),
          cublas_handle_hooks(), cudnn_graph_hooks(), cudnn_convolution_hooks(), cudnn_norm_hooks(),
          cudnn_rnn_hooks(), cudnn_pointwise_hooks(), cudnn_sampling_hooks(), context_hooks()})
        all.insert(all.end(), hooks.begin(), hooks.end());
    return all;
}

}  // namespace fumi::libraries
