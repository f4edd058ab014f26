// FuMi's own checks of a product, by the kernels that a session runs, and what its profiles make of them.
#pragma once
#include <map>
#include <optional>

#include "config/config.h"
#include "kernels/checksum.h"
#include "tests/bench/detection_faults.h"

namespace fumi::bench {

// The checks of one call with one fault, each run when it is first asked for.
class CheckedCall {
  public:
    // Writes the changes into the product's bytes until it ends. whole: the precision really used is looked
    // at too.
    CheckedCall(Product& product, const Changes& changes, bool whole, std::uint64_t seed);
    ~CheckedCall();
    CheckedCall(const CheckedCall&) = delete;
    CheckedCall& operator=(const CheckedCall&) = delete;
    bool checksum(std::int64_t columns, std::int64_t vectors);
    bool cross(std::int64_t rows, std::int64_t columns);
    bool full();
    bool repeat() const { return differs_; }  // of a fault that does not come again

  private:
    bool flags(const ErrorStats& stats, const GemmProblem& problem) const;
    GemmProblem touched_rows() const;
    Product& product_;
    const Changes& changes_;
    bool whole_, differs_ = false;
    std::uint64_t seed_;
    std::int64_t first_row_ = 0, last_row_ = 0, first_column_ = 0, last_column_ = 0;
    std::map<std::pair<std::int64_t, std::int64_t>, bool> checksums_, crosses_;
    std::optional<bool> full_;
};

// What a profile finds in the call of that number, counted as a session counts; call < 0: every check that
// the profile has takes its turn. once: the fault does not come again, so that a repetition shows it.
bool profile_finds(const config::Config& profile, CheckedCall& checked, std::int64_t call, bool once);

}  // namespace fumi::bench
