// The kernels behind repeat, add_noise and checksum, each with its parameter struct: the one list from which
// their names, their host bodies and their entries in check_kernels() are made. All lie in device image 0.
#pragma once
#include "kernels/checksum.h"
#include "kernels/compare.h"
#include "kernels/noise.h"

namespace fumi {

// clang-format off
#define FUMI_MODE_KERNELS(X) \
    X(compare, CompareParams, 0) \
    X(checksum_columns, ChecksumParams, 0) \
    X(checksum_rows, ChecksumParams, 0) \
    X(add_noise, NoiseParams, 0) \
    X(noise_response, NoiseResponseParams, 0)
// clang-format on

}  // namespace fumi
