// From what the device found out about a call to a row of the session.
#pragma once
#include "cupti_hook/rerun/ring.h"
#include "cupti_hook/session/records.h"
#include "kernels/error_stats.h"

namespace fumi {

// Everything but check_id. stats: out of the slot, which may hold more.
session::CheckRecord check_record(const rerun::Entry& entry, const rerun::Check& check,
                                  const ErrorStats& stats, const rerun::Slot& slot);

}  // namespace fumi
