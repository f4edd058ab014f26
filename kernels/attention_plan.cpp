#include "kernels/plan_tools.h"

namespace fumi {
namespace {

using namespace plans;

constexpr std::int64_t kWidestHead = kDnnThreads;
constexpr std::int64_t kMostAttentionBlocks = 1024;
constexpr std::size_t kTrackedBytes = 16;

std::int64_t rows_of(const TensorView& view) noexcept {
    return view.size[0] * view.size[1] * view.size[2];
}

bool like(const TensorView& view, const TensorView& other) noexcept {
    return usable(view, 4) && same_sizes(view, other) && view.type == other.type;
}

const char* tensor_refusal(const AttentionProblem& p) noexcept {
    if (!usable(p.q, 4) || !usable(p.k, 4) || !usable(p.v, 4) || !usable(p.o, 4))
        return "operand type not supported";
    if (p.k.type != p.q.type || p.v.type != p.q.type || p.o.type != p.q.type)
        return "attention of mixed types";
    const std::int64_t heads = p.k.size[1];
    if (p.q.size[0] != p.k.size[0] || p.q.size[3] != p.k.size[3] || heads < 1 || p.q.size[1] % heads != 0 ||
        p.v.size[0] != p.k.size[0] || p.v.size[1] != heads || p.v.size[2] != p.k.size[2] ||
        p.o.size[0] != p.q.size[0] || p.o.size[1] != p.q.size[1] || p.o.size[2] != p.q.size[2] ||
        p.o.size[3] != p.v.size[3])
        return "the sizes of the attention's tensors do not fit";
    if (p.q.size[3] > kWidestHead || p.v.size[3] > kWidestHead) return "attention heads wider than 256";
    if (p.bias.data != nullptr) {
        const std::int64_t whole[4] = {p.q.size[0], p.q.size[1], p.q.size[2], p.k.size[2]};
        if (!usable(p.bias, 4)) return "the bias of the attention is not of a supported type";
        for (int d = 0; d < 4; ++d)
            if (p.bias.size[d] != 1 && p.bias.size[d] != whole[d]) return "the bias does not fit the scores";
    }
    return elements(p.q) > 0 && elements(p.k) > 0 && p.v.size[3] > 0 ? "" : "no elements";
}

const char* refusal(const AttentionProblem& p) noexcept {
    if (p.dropout > 0) return "dropout: which elements it dropped is not visible";
    const char* reason = tensor_refusal(p);
    if (*reason != '\0' || p.direction == AttentionDirection::forward) return reason;
    if (p.stats.data == nullptr || !is_real(p.stats.type))
        return "the log-sum-exp of the forward pass is not there";
    if (!like(p.d_o, p.o) || !like(p.dq, p.q) || !like(p.dk, p.k) || !like(p.dv, p.v))
        return "the gradients do not fit their tensors";
    return "";
}

}  // namespace

CheckPlan plan_check(const AttentionProblem& problem, const DnnContract& contract,
                     const DnnCoverage& coverage, const CheckTarget& target) noexcept {
    CheckPlan plan;
    plan.reason = refusal(problem);
    if (*plan.reason != '\0') return plan;
    plan.reference = "fp64";
    const bool backward = problem.direction == AttentionDirection::backward;
    const std::int64_t query_rows = rows_of(problem.q), key_rows = rows_of(problem.k);
    AttentionCheckParams params;
    params.problem = problem;
    params.common = common_of(contract, coverage, target);
    params.queries = sampled_of(coverage, query_rows, problem.o.size[3] * (backward ? 2 : 1));
    params.keys = backward ? sampled_of(coverage, key_rows, 4 * problem.v.size[3]) : 0;
    plan.elements = params.queries * (backward ? problem.q.size[3] : problem.o.size[3]) +
                    params.keys * (problem.k.size[3] + problem.v.size[3]);
    plan.sampled = params.queries < query_rows || (backward && params.keys < key_rows);

    Scratch scratch(target);
    if (backward) params.dots = scratch.take<double>(static_cast<std::size_t>(2 * query_rows));
    const std::int64_t group = problem.q.size[1] / problem.k.size[1];
    const auto query_bytes = static_cast<std::size_t>(problem.k.size[2]) * kTrackedBytes;
    const auto key_bytes = static_cast<std::size_t>(group * problem.q.size[2]) * 2 * kTrackedBytes;
    const auto blocks_in = [&](std::int64_t rows, std::size_t bytes) {
        const auto room = static_cast<std::int64_t>(scratch.left() / 2 / (bytes + sizeof(ErrorStats)));
        return static_cast<unsigned>(std::min({rows, kMostAttentionBlocks, room}));
    };
    const unsigned query_blocks = blocks_in(params.queries, query_bytes);
    const unsigned key_blocks = backward ? blocks_in(params.keys, key_bytes) : 0;
    auto* partials = scratch.take<ErrorStats>(query_blocks + key_blocks);
    // The launches follow each other: one piece of scratch serves both.
    params.work =
        scratch.take<double>(std::max(query_blocks * query_bytes, key_blocks * key_bytes) / sizeof(double));
    plan.scratch_bytes = scratch.used();
    if (query_blocks == 0 || (backward && key_blocks == 0) || !scratch.fits()) {
        plan.reason = "device scratch ceiling too low for the attention's rows";
        return plan;
    }
    params.common.partials = partials;
    if (backward)
        add_launch(plan, kernel_name::attention_dots,
                   static_cast<unsigned>(std::min((query_rows + kDnnThreads - 1) / kDnnThreads, kMostBlocks)),
                   kDnnThreads, params);
    add_launch(plan, kernel_name::attention_queries, query_blocks, kDnnThreads, params);
    if (backward) {
        params.common.partials = partials == nullptr ? nullptr : partials + query_blocks;
        add_launch(plan, kernel_name::attention_keys, key_blocks, kDnnThreads, params);
    }
    add_merge(plan, partials, query_blocks + key_blocks, target);
    return plan;
}

}  // namespace fumi
