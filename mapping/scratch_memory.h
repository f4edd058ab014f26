// Memory of reruns, kept from one to the next: what the C library gives back to the system it must have
// zeroed, page by page, when it is asked again, which costs more than most reruns.
#pragma once
#include <cstdint>

namespace fumi::mapping {

// Puts FuMi's allocator before torch's for CPU tensors. Whatever is asked for outside a rerun goes on to
// torch's. keep_bytes: how much of free memory is kept at most. Once.
void keep_scratch_memory(std::int64_t keep_bytes);

// While one of these lives, the thread's tensors come of what was kept.
class InScratch {
  public:
    InScratch() noexcept;
    ~InScratch();
    InScratch(const InScratch&) = delete;
    InScratch& operator=(const InScratch&) = delete;
};

}  // namespace fumi::mapping
