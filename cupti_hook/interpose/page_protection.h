// Page protections of this process, read from /proc/self/maps.
#ifndef FUMI_CUPTI_HOOK_INTERPOSE_PAGE_PROTECTION_H
#define FUMI_CUPTI_HOOK_INTERPOSE_PAGE_PROTECTION_H

#include <cstdint>
#include <string>
#include <vector>

namespace fumi::interpose {

class PageProtection {
  public:
    // Makes the page of `address` readable and writable if it is not, and leaves it so. Never makes a page
    // writable and executable. On failure returns false with the cause in `why`.
    bool make_writable(void* address, std::string& why);

  private:
    struct Range {
        std::uintptr_t begin, end;
        bool readable, writable, executable;
    };
    bool read_maps(std::string& why);
    const Range* find(std::uintptr_t address) const noexcept;

    std::vector<Range> ranges_;             // by address
    std::vector<std::uintptr_t> unlocked_;  // pages that were made writable since the map was read
};

}  // namespace fumi::interpose
#endif
