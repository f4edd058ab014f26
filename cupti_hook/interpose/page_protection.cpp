#include "cupti_hook/interpose/page_protection.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fumi::interpose {

namespace {

// Not std::ifstream: its locale machinery is heavy to start inside somebody else's process.
bool read_file(const char* path, std::string& text) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    char buffer[16384];
    ssize_t count = 0;
    while ((count = read(file, buffer, sizeof buffer)) > 0)
        text.append(buffer, static_cast<std::size_t>(count));
    const bool complete = count == 0;
    close(file);
    return complete;
}

std::string error_text(int error) {
    char buffer[128];
    return strerror_r(error, buffer, sizeof buffer);
}

}  // namespace

bool PageProtection::read_maps(std::string& why) {
    std::string text;
    if (!read_file("/proc/self/maps", text)) {
        why = "its page protection is unknown: /proc/self/maps: " + error_text(errno);
        return false;
    }
    for (std::size_t line = 0; line < text.size();) {
        char* cursor = nullptr;
        const std::uintptr_t begin = strtoull(text.c_str() + line, &cursor, 16);
        const std::uintptr_t end = *cursor == '-' ? strtoull(cursor + 1, &cursor, 16) : 0;
        if (end > begin && std::strlen(cursor) > 3)
            ranges_.push_back({begin, end, cursor[1] == 'r', cursor[2] == 'w', cursor[3] == 'x'});
        const std::size_t newline = text.find('\n', line);
        line = newline == std::string::npos ? text.size() : newline + 1;
    }
    return true;
}

const PageProtection::Range* PageProtection::find(std::uintptr_t address) const noexcept {
    const auto after =
        std::upper_bound(ranges_.begin(), ranges_.end(), address,
                         [](std::uintptr_t value, const Range& range) { return value < range.begin; });
    if (after == ranges_.begin()) return nullptr;
    const Range* range = &*(after - 1);
    return address < range->end ? range : nullptr;
}

bool PageProtection::make_writable(void* address, std::string& why) {
    if (ranges_.empty() && !read_maps(why)) return false;
    const std::uintptr_t value = reinterpret_cast<std::uintptr_t>(address);
    const Range* range = find(value);
    if (range == nullptr) {
        why = "not mapped";
        return false;
    }
    if (range->writable) return true;
    const std::uintptr_t page_bytes = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const std::uintptr_t page = value & ~(page_bytes - 1);
    if (std::find(unlocked_.begin(), unlocked_.end(), page) != unlocked_.end()) return true;
    if (range->executable) {
        why = "in an executable page, which is never made writable";
        return false;
    }
    if (mprotect(reinterpret_cast<void*>(page), page_bytes, PROT_READ | PROT_WRITE) != 0) {
        why = "read-only, and mprotect failed: " + error_text(errno);
        return false;
    }
    unlocked_.push_back(page);
    return true;
}

}  // namespace fumi::interpose
