// Stands where a math library stands: CPU kernels of the product ops that first ask libfumi_torch.so who
// calls, as libfumi_cupti.so does before a library call, and then compute as torch does. Python reads the
// answers by ctypes.
#include <ATen/CPUFunctions.h>
#include <torch/library.h>

#include <pthread.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "mapping/origin.h"

namespace {

std::mutex mutex;
std::vector<FumiOrigin> answers;
bool active = false;

void ask() {
    FumiOrigin origin{};
    fumi_torch_origin(&origin);
    const std::lock_guard lock(mutex);
    if (active) {
        answers.push_back(origin);
    }
}

at::Tensor mm(const at::Tensor& a, const at::Tensor& b) {
    ask();
    return at::cpu::mm(a, b);
}

at::Tensor addmm(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta,
                 const at::Scalar& alpha) {
    ask();
    return at::cpu::addmm(c, a, b, beta, alpha);
}

at::Tensor bmm(const at::Tensor& a, const at::Tensor& b) {
    ask();
    return at::cpu::bmm(a, b);
}

at::Tensor baddbmm(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta,
                   const at::Scalar& alpha) {
    ask();
    return at::cpu::baddbmm(c, a, b, beta, alpha);
}

at::Tensor& addmm_(at::Tensor& c, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta,
                   const at::Scalar& alpha) {
    ask();
    return at::cpu::addmm_(c, a, b, beta, alpha);
}

at::Tensor& addmv_(at::Tensor& c, const at::Tensor& a, const at::Tensor& x, const at::Scalar& beta,
                   const at::Scalar& alpha) {
    ask();
    return at::cpu::addmv_(c, a, x, beta, alpha);
}

at::Tensor& addmv_out(const at::Tensor& c, const at::Tensor& a, const at::Tensor& x, const at::Scalar& beta,
                      const at::Scalar& alpha, at::Tensor& out) {
    ask();
    return at::cpu::addmv_out(out, c, a, x, beta, alpha);
}

at::Tensor dot(const at::Tensor& a, const at::Tensor& b) {
    ask();
    return at::cpu::dot(a, b);
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CPU, library) {
    library.impl("mm", mm);
    library.impl("addmm", addmm);
    library.impl("bmm", bmm);
    library.impl("baddbmm", baddbmm);
    library.impl("addmm_", addmm_);
    library.impl("addmv_", addmv_);
    library.impl("addmv.out", addmv_out);
    library.impl("dot", dot);
}

#define PROBE_EXPORT extern "C" __attribute__((visibility("default")))

// test_lifetime.py forks while other threads ask.
__attribute__((constructor)) void keep_the_lock_over_a_fork() {
    pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });
}

PROBE_EXPORT void probe_record(int32_t on) {
    const std::lock_guard lock(mutex);
    active = on != 0;
    answers.clear();
}

PROBE_EXPORT int32_t probe_count() {
    const std::lock_guard lock(mutex);
    return static_cast<int32_t>(answers.size());
}

PROBE_EXPORT void probe_get(int32_t index, FumiOrigin* out) {
    const std::lock_guard lock(mutex);
    *out = answers.at(static_cast<std::size_t>(index));
}
