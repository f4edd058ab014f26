#include "tools/softcuda/blas/faulty.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "tools/softcuda/blas/epilogue.h"

namespace softcuda::blas {
namespace {

using faults::Kind;

std::vector<faults::View> views_of(const Gemm& gemm) {
    std::vector<faults::View> views;
    views.reserve(static_cast<std::size_t>(gemm.batch));
    for (std::int64_t index = 0; index < gemm.batch; ++index)
        views.push_back(
            {batch_entry(gemm.d, index), gemm.d.type, gemm.m, gemm.n, gemm.d.row_stride, gemm.d.col_stride});
    return views;
}

double largest(const Matrix& matrix, std::int64_t index, std::int64_t rows, std::int64_t cols) {
    Buffer<std::complex<double>> values(rows * cols);
    pack(matrix, index, rows, cols, values.data(), 1, rows);
    double result = 0;
    for (const auto& x : values) result = std::max(result, std::abs(x));
    return result;
}

// The first batch entry of a matrix, from `offset` elements on.
Matrix shifted(const Matrix& matrix, std::int64_t offset) noexcept {
    Matrix result = matrix;
    result.data = batch_entry(matrix, 0) + offset * static_cast<std::int64_t>(size_of(matrix.type));
    result.pointer_array = false;
    return result;
}

// A k whose products matter: the largest |a| |b| of a few tried.
std::int64_t choose_k(const Gemm& gemm, const faults::Plan& plan) {
    if (plan.k) return *plan.k;
    faults::Random random(plan);
    std::int64_t best = 0;
    double best_size = -1;
    for (int attempt = 0; attempt < 16; ++attempt) {
        const std::int64_t k = random.below(gemm.k);
        const Matrix column = shifted(gemm.a, k * gemm.a.col_stride),
                     row = shifted(gemm.b, k * gemm.b.row_stride);
        const double size = largest(column, 0, gemm.m, 1) * largest(row, 0, 1, gemm.n);
        if (size > best_size) {
            best = k;
            best_size = size;
        }
    }
    return best;
}

// A row whose bias matters: the largest of a few tried.
std::int64_t choose_bias_row(const Gemm& gemm, const faults::Plan& plan) {
    faults::Random random(plan);
    std::int64_t best = 0;
    double best_size = -1;
    for (int attempt = 0; attempt < 16; ++attempt) {
        const std::int64_t row = random.below(gemm.m);
        Matrix bias;
        bias.data = gemm.epilogue.bias;
        bias.type = gemm.epilogue.bias_type;
        bias.data = static_cast<const char*>(bias.data) + row * static_cast<std::int64_t>(size_of(bias.type));
        const double size = largest(bias, 0, 1, 1);
        if (size > best_size) {
            best = row;
            best_size = size;
        }
    }
    return best;
}

std::uint64_t next_run() noexcept {
    static std::atomic<std::uint64_t> runs{0};
    return ++runs;
}

}  // namespace

const char* obstacle(const Gemm& gemm, const faults::Plan& plan) noexcept {
    switch (plan.kind) {
        case Kind::round_inputs_bf16:
        case Kind::round_inputs_tf32:
            return rounding_applies(gemm, plan) ? nullptr : "the inputs have no more bits than that to lose";
        case Kind::drop_bias_row:
            return gemm.epilogue.bias == nullptr ? "the call has no bias" : nullptr;
        case Kind::drop_k:
            if (gemm.k == 0) return "the sum is empty";
            return plan.k.value_or(0) >= gemm.k || plan.k.value_or(0) < 0 ? "k lies outside the sum"
                                                                          : nullptr;
        case Kind::fp16_accumulate:
        case Kind::nondeterministic:
            if (gemm.arithmetic == Arithmetic::s32) return "the sum is one of integers";
            return gemm.k == 0 ? "the sum is empty" : nullptr;
        default:
            return nullptr;
    }
}

Planted planted_in_sum(const Gemm& gemm, const faults::Plan& plan, faults::Where& where) {
    Planted planted;
    planted.sum.plan = &plan;
    if (plan.kind == Kind::drop_k) where.k = planted.sum.lost_k = choose_k(gemm, plan);
    if (plan.kind == Kind::drop_bias_row) where.row = planted.bias_row = choose_bias_row(gemm, plan);
    if (plan.kind == Kind::nondeterministic) planted.sum.run = next_run();
    return planted;
}

void run_faulty(const Gemm& gemm, const faults::Plan& plan) {
    if (const char* reason = obstacle(gemm, plan)) {
        run_planted(gemm, {});
        faults::log_skipped(plan, reason);
        return;
    }
    const auto views = views_of(gemm);
    const auto before = faults::save(views);
    run_planted(gemm, {});
    if (faults::is_output_fault(plan.kind)) return plant_in_results(plan, views);
    const auto right = faults::save(views);
    faults::restore(views, before);  // the stale result, and C where it is D
    faults::Where where;
    if (plan.kind != Kind::stale_output) run_planted(gemm, planted_in_sum(gemm, plan, where));
    if (faults::save(views) == right)
        faults::log_skipped(plan, "the results come out the same");
    else
        faults::log_planted(plan, where);
}

void plant_in_results(const faults::Plan& plan, std::span<const faults::View> views) {
    if (!faults::is_output_fault(plan.kind)) return faults::log_skipped(plan, "the call has no such part");
    if (const auto where = faults::apply_to_output(plan, views))
        faults::log_planted(plan, *where);
    else
        faults::log_skipped(plan, "it would change no result");
}

}  // namespace softcuda::blas
