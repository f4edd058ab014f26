// The contract of each call, made once for each combination of facts.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>

#include "cupti_hook/libraries/call.h"
#include "kernels/contract.h"

namespace fumi::rerun {

// What the library may do with the call, on a device of that capability (90 is sm_90).
CallFacts facts_of(const libraries::Call& call, int capability, bool ieee) noexcept;

// What FUMI_CALIBRATION names, read once: its text, "" where there is none that can be used.
const std::string& calibration_text() noexcept;

class Contracts {
  public:
    // `measures`: the Python FuMi's are taken too.
    explicit Contracts(bool measures) noexcept : measures_(measures) {}
    // For the life of the process; nullptr where memory runs out.
    const Contract* find(const CallFacts& facts) noexcept;

  private:
    using Key = std::tuple<int, bool, bool, int, DataType, DataType, DataType, int, bool>;
    const bool measures_;
    std::mutex mutex_;
    std::map<Key, std::unique_ptr<const Contract>> known_;
};

}  // namespace fumi::rerun
