#include "cupti_hook/rerun/contracts.h"

#include <cublas_api.h>

#include <cstdlib>
#include <fstream>
#include <new>
#include <sstream>

#include "cupti_hook/message.h"
#include "kernels/calibration.h"

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

namespace {

struct Measured {
    Calibration calibration;
    std::string text;
};

Measured read_calibration() try {
    const char* path = std::getenv("FUMI_CALIBRATION");
    if (path == nullptr || *path == '\0') return {};
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    Measured measured;
    std::string error = "it cannot be read";
    if (file && parse(text.str(), &measured.calibration, &error)) {
        measured.text = text.str();
        return measured;
    }
    say("calibration %s: %s; the constants of docs/numerics.md are used", path, error.c_str());
    return {};
} catch (const std::bad_alloc&) {
    return {};
}

const Measured& measured() noexcept {
    static const Measured once = read_calibration();
    return once;
}

}  // namespace

const std::string& calibration_text() noexcept {
    return measured().text;
}

const Contract* Contracts::find(const CallFacts& given) noexcept try {
    CallFacts f = given;
    // One of another kind of device says nothing about this one.
    if (!measured().text.empty() && measured().calibration.capability == f.capability)
        f.calibration = &measured().calibration;
    const Key key{
        f.compute_type, f.tf32_allowed, f.reduced_precision_reduction, f.split_k, f.a, f.b, f.output,
        f.capability,   f.ieee};
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(key); found != known_.end()) return found->second.get();
    Contract contract = contract_for(f);
    contract.bound.measures = measures_ ? 1 : 0;
    return known_.emplace(key, std::make_unique<const Contract>(std::move(contract))).first->second.get();
} catch (const std::bad_alloc&) {
    return nullptr;
}

}  // namespace fumi::rerun
