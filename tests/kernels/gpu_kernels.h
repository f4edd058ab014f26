// What the parts of the program gpu_kernels share.
#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/kernels/driver.h"

namespace fumi::test {

// The fields in which the two differ, as a list. transcendental: functions of two math libraries are in both,
// which agree to a few units of the last place.
nlohmann::json differences(const ErrorStats& device, const ErrorStats& host, bool transcendental);

// Every check of cuDNN calls, a result each with "ok".
std::vector<nlohmann::json> compare_dnn_kernels(Driver& driver);
// The same of what repeat, add_noise, checksum and the precision probe launch.
std::vector<nlohmann::json> compare_mode_kernels(Driver& driver);

}  // namespace fumi::test
