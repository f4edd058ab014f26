#include "cupti_hook/rerun/contracts.h"

#include <cublas_api.h>

#include <new>

namespace fumi::rerun {

CallFacts facts_of(const libraries::Call& call, int capability, bool ieee) noexcept {
    CallFacts facts;
    facts.compute_type = libraries::effective_compute_type(call);
    facts.tf32_allowed = facts.compute_type == CUBLAS_COMPUTE_32F_FAST_TF32;
    // cublasLt has no math mode: its algorithms name their reduction scheme instead.
    facts.reduced_precision_reduction =
        call.library == libraries::Library::cublas
            ? (call.math_mode & CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION) == 0
            : call.algorithm.reduction != 0;
    if (call.algorithm.split_k >= 0) facts.split_k = call.algorithm.split_k;
    facts.a = call.problem.a.type;
    facts.b = call.problem.b.type;
    facts.output = call.problem.d.type;
    facts.capability = capability;
    facts.ieee = ieee;
    return facts;
}

const Contract* Contracts::find(const CallFacts& f) noexcept try {
    const Key key{
        f.compute_type, f.tf32_allowed, f.reduced_precision_reduction, f.split_k, f.a, f.b, f.output,
        f.capability,   f.ieee};
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(key); found != known_.end()) return found->second.get();
    return known_.emplace(key, std::make_unique<const Contract>(contract_for(f))).first->second.get();
} catch (const std::bad_alloc&) {
    return nullptr;
}

}  // namespace fumi::rerun
