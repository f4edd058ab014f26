// The limits of one's own, `thresholds` in the configuration.
#pragma once
#include "config/config.h"
#include "cupti_hook/session/records.h"
#include "kernels/error_stats.h"
#include "kernels/gemm_problem.h"

namespace fumi {

// A row of the mode `thresholds` beside that of improve_precision, `judged`: what is over the limits, and the
// Python FuMi's measures. Without a verdict of its own unless `decide` asks for one.
session::CheckRecord threshold_record(const config::Thresholds& thresholds,
                                      const session::CheckRecord& judged, const ErrorStats& stats,
                                      DataType output);

}  // namespace fumi
