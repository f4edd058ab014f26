// The checks of cuDNN calls: contract, plan, assessment. See check_launch.h for how a plan is run.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/check_launch.h"
#include "kernels/contract.h"
#include "kernels/dnn_problem.h"
#include "kernels/verdict.h"

namespace fumi {

// Full: every element of every output. Sampled: about `samples` output elements, in what each operation can
// recompute cheaply: a cross of channels and positions (convolution; fewer where each is a long sum),
// channels (batch norm), query and key rows (attention), batch entries (RNN, CTC), planes (grid sampling),
// elements (pooling), rows (softmax).
struct DnnCoverage {
    std::int32_t sampled = 0;
    std::int64_t samples = 0;
    std::uint64_t seed = 0;
};

// The algorithm of a convolution's engine, as far as it is known (numerical notes, engine names).
enum class ConvAlgorithm : std::int32_t { unknown, direct, implicit_gemm, winograd, fft };

struct ConvFacts {
    DataType x = DataType::f32, w = DataType::f32, output = DataType::f32;  // operands: the two that are read
    DataType compute = DataType::f32;  // CUDNN_ATTR_CONVOLUTION_COMP_TYPE
    bool tf32_allowed = false;  // fp32 operands may be converted down (torch.backends.cudnn.allow_tf32)
    bool reduced_precision_reduction = false;
    ConvAlgorithm algorithm = ConvAlgorithm::unknown;
    std::int32_t winograd_outputs = 4;  // m of F(m, 3): the tile is m + 2 (4x4: 2, 6x6: 4, 13x13: 11)
    int capability = 90;
    bool ieee = false;
};
// What other operations promise: products and sums of `compute`, outputs of their own type.
struct DnnFacts {
    DataType input = DataType::f32, output = DataType::f32, compute = DataType::f32;
    bool tf32_allowed = false;
    int capability = 90;
    bool ieee = false;
};

struct DnnContract {
    Contract base;
    ConvAlgorithm algorithm = ConvAlgorithm::unknown;
    std::int32_t winograd_outputs = 0;
};
DnnContract contract_for(const ConvFacts& facts);
DnnContract contract_for(const DnnFacts& facts);

CheckPlan plan_check(const ConvProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept;
CheckPlan plan_check(const BatchNormProblem& problem, const DnnContract& contract,
                     const DnnCoverage& coverage, const CheckTarget& target) noexcept;
CheckPlan plan_check(const AttentionProblem& problem, const DnnContract& contract,
                     const DnnCoverage& coverage, const CheckTarget& target) noexcept;
CheckPlan plan_check(const RnnProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept;
CheckPlan plan_check(const SoftmaxProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept;
CheckPlan plan_check(const PoolProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept;
CheckPlan plan_check(const CtcProblem& problem, const DnnContract& contract, const DnnCoverage& coverage,
                     const CheckTarget& target) noexcept;
CheckPlan plan_check(const GridSampleProblem& problem, const DnnContract& contract,
                     const DnnCoverage& coverage, const CheckTarget& target) noexcept;

// The verdict; the worst element is named by its output and coordinates ("dx[3, 0, 5, 7]").
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const ConvProblem& problem);
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const BatchNormProblem& problem);
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const AttentionProblem& problem);
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const RnnProblem& problem);
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const SoftmaxProblem& problem);
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const PoolProblem& problem);
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const CtcProblem& problem);
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const GridSampleProblem& problem);

}  // namespace fumi
