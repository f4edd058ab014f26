#include "mapping/api_table.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

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

constexpr std::uint32_t hash(const char* text) noexcept {  // FNV-1a
    std::uint32_t value = 2166136261U;
    for (; *text != '\0'; ++text) {
        value = (value ^ static_cast<unsigned char>(*text)) * 16777619U;
    }
    return value;
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
    for (std::size_t at = hash(op) % slot_count; op_index.slots[at] >= 0; at = (at + 1) % slot_count) {
        const Operation& row = rows[op_index.slots[at]];
        if (std::strcmp(row.op, op) == 0) {
            return &row;
        }
    }
    return nullptr;
}

std::span<const Operation> operations() noexcept {
    return rows;
}

const char* api_of(const char* op) noexcept {
    const Operation* const row = operation_of(op);
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
