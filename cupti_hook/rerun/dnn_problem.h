// From a decoded cuDNN call to the problem that its check recomputes, and the contract that it is judged by.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "cupti_hook/libraries/cudnn_call.h"
#include "cupti_hook/rerun/saved_output.h"
#include "kernels/dnn_check.h"

namespace fumi::rerun {

enum class DnnKind : std::uint8_t {
    none,
    convolution,
    batch_norm,
    attention,
    rnn,
    softmax,
    pooling,
    ctc,
    grid_sample
};

// A tagged union: `kind` says which one means something.
struct DnnProblem {
    DnnKind kind = DnnKind::none;
    union {
        ConvProblem convolution;
        BatchNormProblem batch_norm;
        AttentionProblem attention;
        RnnProblem rnn;
        SoftmaxProblem softmax;
        PoolProblem pooling;
        CtcProblem ctc;
        GridSampleProblem grid_sample;
    };
    constexpr DnnProblem() noexcept {}
};

struct RnnLayout;  // rnn_layout.h

// Returns why there is none, or nullptr. `layout`: of an RNN; may be null, when only the verdict is asked
// for.
const char* make_problem(const libraries::DnnCall& call, const RnnLayout* layout,
                         DnnProblem& problem) noexcept;

// What a call reads and writes, as ranges of memory.
inline constexpr int most_operands = 20;
struct Operand {
    const void** data;  // the problem's pointer to it
    Extent extent;
};
struct Operands {
    int input_count = 0, output_count = 0;
    Operand inputs[most_operands];
    Operand outputs[most_operands];
};
Operands operands_of(DnnProblem& problem, const libraries::DnnCall& call) noexcept;

DnnContract contract_of(const libraries::DnnCall& call, int capability, bool ieee);

CheckPlan plan_check(const DnnProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept;
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const libraries::DnnCall& call);

// Contracts, made once for each combination of facts.
class DnnContracts {
  public:
    explicit DnnContracts(bool measures) noexcept : measures_(measures) {}
    // For the life of the process; nullptr where memory runs out.
    const DnnContract* find(const libraries::DnnCall& call, int capability, bool ieee) noexcept;

  private:
    const bool measures_;
    std::mutex mutex_;
    std::unordered_map<std::uint64_t, std::unique_ptr<const DnnContract>> known_;
};

}  // namespace fumi::rerun
