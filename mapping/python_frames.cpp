#include "mapping/python_frames.h"

#include <dlfcn.h>

#include <cstddef>
#include <cstring>

namespace fumi::mapping {
namespace {

// Offsets on 64-bit builds. The thread state reaches its current frame through `cframe` in both versions.
constexpr std::size_t tstate_cframe = 56;
constexpr std::size_t cframe_current_311 = 8;  // after the flag use_tracing
constexpr std::size_t cframe_current_312 = 0;
constexpr std::size_t frame_instruction = 56;  // prev_instr
constexpr std::size_t frame_locals = 72;       // localsplus
constexpr std::size_t frame_code_311 = 32;
constexpr std::size_t frame_previous_311 = 48;
constexpr std::size_t frame_code_312 = 0;
constexpr std::size_t frame_previous_312 = 8;
constexpr std::size_t frame_owner_312 = 70;
constexpr char owned_by_c_stack = 3;  // 3.12: a stop between C and Python, no function's frame
constexpr std::size_t weak_object = 16;

const char* read(const char* base, std::size_t offset) noexcept {
    const char* value = nullptr;
    std::memcpy(&value, base + offset, sizeof(value));
    return value;
}

// 311, 312, or 0 where the layout is not known.
int layout() noexcept {
    static const int version = [] {
        const auto* number =
            static_cast<const unsigned long*>(dlsym(RTLD_DEFAULT, "Py_Version"));  // since 3.11
        // _Py_RefTotal and trace-refs builds put more in front of every object.
        if (number == nullptr || dlsym(RTLD_DEFAULT, "_Py_AddToAllObjects") != nullptr) {
            return 0;
        }
        const unsigned long minor = *number >> 16U;
        return minor == 0x030BU ? 311 : minor == 0x030CU ? 312 : 0;
    }();
    return version;
}

PyHandle* handle(const char* value) noexcept {
    return const_cast<char*>(value);
}

}  // namespace

FrameCursor::FrameCursor(const PythonApi* api) noexcept {
    const int version = sizeof(void*) == 8 ? layout() : 0;
    if (version == 0 || api == nullptr || api->is_initialized() == 0 || api->is_finalizing() != 0) {
        return;
    }
    const auto* state = static_cast<const char*>(api->this_thread_state());
    const char* const cframe = state != nullptr ? read(state, tstate_cframe) : nullptr;
    if (cframe != nullptr) {
        v312_ = version == 312;
        frame_ = read(cframe, v312_ ? cframe_current_312 : cframe_current_311);
    }
}

bool FrameCursor::next(FrameView* view) noexcept {
    while (v312_ && frame_ != nullptr && frame_[frame_owner_312] == owned_by_c_stack) {
        frame_ = read(frame_, frame_previous_312);
    }
    if (frame_ == nullptr) {
        return false;
    }
    view->code = handle(read(frame_, v312_ ? frame_code_312 : frame_code_311));
    view->instruction = read(frame_, frame_instruction);
    view->first_local = handle(read(frame_, frame_locals));
    frame_ = read(frame_, v312_ ? frame_previous_312 : frame_previous_311);
    return true;
}

bool weak_leads_to(const PyHandle* weak, const PyHandle* object) noexcept {
    return read(static_cast<const char*>(weak), weak_object) == object;
}

}  // namespace fumi::mapping
