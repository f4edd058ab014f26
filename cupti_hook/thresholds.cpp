#include "cupti_hook/thresholds.h"

#include <fmt/format.h>

#include "kernels/contract.h"

namespace fumi {

namespace {

// 0: none. A limit of the type itself goes before one for every type.
double limit_of(const std::vector<config::TypeLimit>& limits, const char* type) {
    double found = 0;
    for (const config::TypeLimit& limit : limits) {
        if (limit.type == type) return limit.limit;
        if (limit.type.empty()) found = limit.limit;
    }
    return found;
}

// Tolerances of the Python FuMi for |a - b| / |a + b|.
double tolerance_of(DataType output) {
    switch (output) {
        case DataType::f64:
            return 1e-8;
        case DataType::f32:
            return 1e-4;
        case DataType::f16:
            return 1e-3;
        case DataType::bf16:
            return 1e-2;
        default:
            return 0;
    }
}

class Comparison {
  public:
    void add(const char* what, double measure, double limit) {
        if (!(limit > 0)) return;
        const bool is_over = measure > limit;
        (is_over ? over_ : within_) += fmt::format("; {} {:.3g} of {:g}", what, measure, limit);
    }
    void say(const std::string& text) { within_ += "; " + text; }
    bool over() const { return !over_.empty(); }
    std::string text() const {
        const std::string all = over_ + within_;
        return (over() ? "over a limit: " : "within the limits: ") + (all.empty() ? all : all.substr(2));
    }

  private:
    std::string over_, within_;
};

}  // namespace

session::CheckRecord threshold_record(const config::Thresholds& thresholds,
                                      const session::CheckRecord& judged, const ErrorStats& stats,
                                      DataType output) {
    session::CheckRecord record;
    record.call_id = judged.call_id;
    record.mode = "thresholds";
    record.reference = judged.reference;
    record.coverage = judged.coverage;
    record.launches = judged.launches;
    record.elements = judged.elements;
    record.max_abs_err = judged.max_abs_err;
    record.max_rel_err = judged.max_rel_err;
    Comparison found;
    const char* type = type_name(output);
    found.add("|e| / B", stats.max_ratio, thresholds.bound);
    found.add("|e|", stats.max_abs_err, limit_of(thresholds.absolute, type));
    found.add("|e| / |R|", stats.max_rel_err, limit_of(thresholds.relative, type));
    if (thresholds.fumi) {
        found.add("FuMi's |a - b| / |a + b|", stats.max_symmetric, tolerance_of(output));
        if (stats.sum_abs_r > 0)
            found.say(fmt::format("norm ratios {:.9g} (1) and {:.9g} (infinity)",
                                  stats.sum_abs_c / stats.sum_abs_r, stats.max_abs_c / stats.max_abs_r));
    }
    record.reason = found.text();
    if (thresholds.decide) record.verdict = found.over() ? session::Verdict::fail : session::Verdict::pass;
    return record;
}

}  // namespace fumi
