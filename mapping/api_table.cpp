#include "mapping/api_table.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace fumi::mapping {
namespace {

using enum Bound;

constexpr Operation rows[] = {
#include "ops.inc"
};

constexpr const char* python_apis[] = {
#include "python_apis.inc"
};

constexpr std::size_t row_count = sizeof(rows) / sizeof(rows[0]);
constexpr std::size_t slot_count = 2048;  // open addressing; must stay well above row_count
static_assert(row_count * 2 <= slot_count, "raise slot_count");

constexpr std::uint64_t word(const char* from, std::size_t count) noexcept {
    std::uint64_t bytes = 0;
    if (!std::is_constant_evaluated() && count == 8) {
        std::memcpy(&bytes, from, 8);
        return bytes;
    }
    for (std::size_t i = 0; i < count; ++i) {
        bytes |= static_cast<std::uint64_t>(static_cast<unsigned char>(from[i])) << (8 * i);
    }
    return bytes;
}

// Eight characters at a time, the last eight overlapping: every operation of the program is looked up.
constexpr std::uint64_t hash(std::string_view text) noexcept {
    const auto mixed = [](std::uint64_t value, std::uint64_t bytes) {
        value = (value ^ bytes) * 0x9E3779B97F4A7C15U;
        return value ^ (value >> 32U);
    };
    std::uint64_t value = text.size();
    if (text.size() < 8) {
        return mixed(value, word(text.data(), text.size()));
    }
    for (std::size_t at = 0; at + 8 < text.size(); at += 8) {
        value = mixed(value, word(text.data() + at, 8));
    }
    return mixed(value, word(text.data() + text.size() - 8, 8));
}

struct Index {
    std::array<std::int16_t, slot_count> slots{};
};

// Built by the compiler: a library loaded into somebody else's process has no work to do when it is loaded.
constexpr Index make_index() noexcept {
    Index index;
    for (auto& slot : index.slots) {
        slot = -1;
    }
    for (std::size_t row = 0; row < row_count; ++row) {
        std::size_t at = hash(rows[row].op) % slot_count;
        while (index.slots[at] >= 0) {
            at = (at + 1) % slot_count;
        }
        index.slots[at] = static_cast<std::int16_t>(row);
    }
    return index;
}

constexpr Index op_index = make_index();

std::atomic<bool> all_named{false};

}  // namespace

const Operation* operation_of(const char* op) noexcept {
    const std::string_view name(op);
    for (std::size_t at = hash(name) % slot_count; op_index.slots[at] >= 0; at = (at + 1) % slot_count) {
        const Operation& row = rows[op_index.slots[at]];
        if (name == row.op) {
            return &row;
        }
    }
    return nullptr;
}

std::span<const Operation> operations() noexcept {
    return rows;
}

const char* api_of(const char* op) noexcept {
    return api_of(operation_of(op));
}

const char* api_of(const Operation* row) noexcept {
    return row != nullptr && (row->library || all_named.load(std::memory_order_relaxed)) ? row->api : nullptr;
}

void name_all_operations() noexcept {
    all_named.store(true, std::memory_order_relaxed);
}

const char* python_api(const char* name) noexcept {
    for (const char* const api : python_apis) {
        if (std::strcmp(api, name) == 0) {
            return api;
        }
    }
    return nullptr;
}

}  // namespace fumi::mapping
