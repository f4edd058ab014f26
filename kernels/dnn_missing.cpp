// Operations without a reference: their plans say so.
#include "kernels/dnn_check.h"

namespace fumi {
namespace {

CheckPlan refused(const char* reason) noexcept {
    CheckPlan plan;
    plan.reason = reason;
    return plan;
}

}  // namespace

CheckPlan plan_check(const CtcProblem&, const DnnContract&, const DnnCoverage&, const CheckTarget&) noexcept {
    return refused("no reference for the CTC loss");
}
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const CtcProblem&) {
    return assess(stats, contract.base, std::string("an element"));
}

CheckPlan plan_check(const GridSampleProblem&, const DnnContract&, const DnnCoverage&,
                     const CheckTarget&) noexcept {
    return refused("no reference for grid sampling");
}
Assessment assess(const ErrorStats& stats, const DnnContract& contract, const GridSampleProblem&) {
    return assess(stats, contract.base, std::string("an element"));
}

}  // namespace fumi
