#include "tests/bench/detection_checks.h"

#include <algorithm>
#include <cstring>

namespace fumi::bench {
namespace {

constexpr std::int64_t kSliceColumns = 64;  // of a full check, so that it can end early
constexpr std::size_t kCeiling = std::size_t{1} << 20;

bool broken(const ErrorStats& stats) {
    return stats.nonfinite_unexpected > 0 || stats.max_ratio > 1;
}

}  // namespace

CheckedCall::CheckedCall(Product& product, const Changes& changes, bool whole, std::uint64_t seed)
    : product_(product), changes_(changes), whole_(whole), seed_(seed) {
    first_row_ = product.shape.m;
    first_column_ = product.shape.n;
    for (const Change& change : changes) {
        product.store(change.index, change.value);
        const float old = product.value(change.index);
        differs_ = differs_ || std::memcmp(&old, &change.value, sizeof old) != 0;
        const std::int64_t row = change.index / product.shape.n, column = change.index % product.shape.n;
        first_row_ = std::min(first_row_, row);
        last_row_ = std::max(last_row_, row + 1);
        first_column_ = std::min(first_column_, column);
        last_column_ = std::max(last_column_, column + 1);
    }
    if (!whole) return;
    first_row_ = first_column_ = 0;
    last_row_ = product.shape.m;
    last_column_ = product.shape.n;
}

CheckedCall::~CheckedCall() {
    for (const Change& change : changes_) product_.store(change.index, product_.value(change.index));
}

// Rows that no change touches are judged in the row of the legal kernel.
GemmProblem CheckedCall::touched_rows() const {
    GemmProblem p = product_.problem;
    p.m = last_row_ - first_row_;
    for (MatrixView* view : {&p.a, &p.d})
        view->data =
            static_cast<const char*>(view->data) + first_row_ * view->row_stride * element_bytes(view->type);
    return p;
}

bool CheckedCall::flags(const ErrorStats& stats, const GemmProblem& problem) const {
    if (broken(stats)) return true;
    Assessment a = assess(stats, product_.contract, problem);
    if (!whole_) return a.verdict == Judgement::fail;
    if (precision_applies(problem))
        add_precision(a, find_precision(test::run_precision(problem, product_.contract, seed_),
                                        product_.contract, problem));
    return a.verdict != Judgement::pass;
}

bool CheckedCall::checksum(std::int64_t columns, std::int64_t vectors) {
    const auto [found, fresh] = checksums_.emplace(std::pair{columns, vectors}, false);
    if (!fresh) return found->second;
    const ErrorStats stats =
        test::run_checksum(touched_rows(), product_.contract, {columns, static_cast<int>(vectors), seed_});
    return found->second = broken(stats);
}

bool CheckedCall::cross(std::int64_t rows, std::int64_t columns) {
    const auto [found, fresh] = crosses_.emplace(std::pair{rows, columns}, false);
    if (!fresh) return found->second;
    const GemmProblem& p = product_.problem;
    const Coverage sample = sampled_coverage(p, static_cast<int>(rows), static_cast<int>(columns), 1, seed_);
    return found->second = flags(test::run_check(p, product_.contract, sample, kCeiling), p);
}

bool CheckedCall::full() {
    if (full_) return *full_;
    const GemmProblem p = touched_rows();
    ErrorStats all;
    for (std::int64_t column = first_column_; column < last_column_; column += kSliceColumns) {
        Coverage slice = full_coverage(p);
        slice.first_column = column;
        slice.last_column = std::min(last_column_, column + kSliceColumns);
        merge_stats(all, test::run_check(p, product_.contract, slice, kCeiling));
        if (broken(all)) break;
    }
    full_ = flags(all, p);
    return *full_;
}

bool profile_finds(const config::Config& profile, CheckedCall& checked, std::int64_t call, bool once) {
    const auto runs = [&](config::Mode mode, std::int64_t every) {
        return profile.has(mode) && (call < 0 || call % every == 0);
    };
    const config::ImprovePrecision& exact = profile.improve_precision;
    if (once && runs(config::Mode::repeat, profile.repeat.every) && checked.repeat()) return true;
    if (runs(config::Mode::improve_precision, exact.every)) {
        const bool full = exact.coverage == config::Coverage::full;
        if (full ? checked.full() : checked.cross(exact.sample_rows, exact.sample_columns)) return true;
    }
    return runs(config::Mode::checksum, profile.checksum.every) &&
           checked.checksum(profile.checksum.columns, profile.checksum.vectors);
}

}  // namespace fumi::bench
