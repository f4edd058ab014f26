#include "mapping/python_stack.h"

#include <array>
#include <atomic>
#include <exception>

#include "mapping/module_names.h"
#include "mapping/python_api.h"
#include "mapping/python_cache.h"
#include "mapping/python_code.h"
#include "mapping/python_frames.h"

namespace fumi::mapping {
namespace {

constexpr int frame_limit = 2000;
constexpr std::size_t module_limit = 128;

const PythonApi* python = nullptr;

// The `self` of a module's call: a new reference, or nullptr.
PyHandle* self_of(PyHandle* frame) noexcept {
    PyHandle* self = nullptr;
    if (python->frame_var != nullptr) {
        self = python->frame_var(frame, "self");
    } else {
        PyHandle* const locals = python->frame_locals != nullptr ? python->frame_locals(frame)
                                                                 : python->get_attr(frame, "f_locals");
        if (locals != nullptr) {
            self = python->mapping_get(locals, "self");
            python->decref(locals);
        }
    }
    if (self == nullptr) {
        python->error_clear();
    }
    return self;
}

// One look at the thread's frames through Python's own API, from the innermost outwards, under the GIL. Fills
// the cache as it goes, and sees whether the raw frames that the cache is asked by tell the same.
class Walk {
  public:
    explicit Walk(bool in_backward) noexcept : in_backward_(in_backward), raw_(python) {}
    ~Walk() {
        for (std::size_t i = 0; i < module_count_; ++i) {
            python->decref(modules_[i]);
        }
    }
    Walk(const Walk&) = delete;
    Walk& operator=(const Walk&) = delete;

    void run() {
        PyHandle* frame = python->current_frame();
        if (frame != nullptr) {
            python->incref(frame);
        }
        int depth = 0;
        for (; frame != nullptr && depth < frame_limit; ++depth) {
            look_at(frame);
            PyHandle* const back = python->frame_back(frame);
            python->decref(frame);
            frame = back;
        }
        if (frame != nullptr) {
            python->decref(frame);
            return;
        }
        FrameView beyond{};
        if (depth > 0) {
            trust_raw_frames(raw_same_ && !raw_.next(&beyond));
        }
    }

    const char* api() const noexcept { return api_; }
    const char* location() const noexcept { return location_; }
    bool in_checkpoint() const noexcept { return checkpoint_; }
    const char* module() const noexcept {
        const char* const name = module_name(*python, modules_.data(), module_count_, in_backward_);
        if (!in_backward_ && module_count_ < module_limit) {
            cache_module(*python, chain_, name);
        }
        return name;
    }

  private:
    void look_at(PyHandle* frame) {
        PyHandle* const object = python->frame_code(frame);
        Code& code = code_of(object);
        FrameView view{};
        const bool cache = raw_same_ && raw_.next(&view) && view.code == object && code.kept;
        raw_same_ = raw_same_ && view.code == object;
        if (cache) {
            cache_code(object, code.kind, code.api);
        }
        own_ = own_ && is_own(code.kind);
        api_ = own_ && code.api != nullptr ? code.api : api_;
        if (code.kind == CodeKind::program && *location_ == '\0') {
            location_ = location_of(code, frame);
            if (cache) {
                cache_location(object, view.instruction, location_);
            }
        } else if (code.kind == CodeKind::module_call && !(in_backward_ && engine_)) {
            add_module(self_of(frame), view);
        } else if (code.kind == CodeKind::engine) {
            engine_ = true;
        } else if (code.kind == CodeKind::checkpoint && !engine_) {
            checkpoint_ = true;
        }
    }

    void add_module(PyHandle* self, const FrameView& view) noexcept {
        if (self == nullptr) {
            return;
        }
        raw_same_ = raw_same_ && view.first_local == self;
        if (module_count_ == module_limit) {
            python->decref(self);
            return;
        }
        modules_[module_count_++] = self;
        chain_.add(self);
    }

    bool in_backward_;
    bool engine_ = false;
    bool checkpoint_ = false;
    bool own_ = true;  // every frame so far is torch's own, below the call of a module
    const char* api_ = nullptr;
    bool raw_same_ = true;
    FrameCursor raw_;
    const char* location_ = "";
    ModuleChain chain_;
    std::size_t module_count_ = 0;
    std::array<PyHandle*, module_limit> modules_;
};

}  // namespace

void python_start() noexcept {
    static std::atomic_flag started = ATOMIC_FLAG_INIT;
    if (started.test_and_set()) {
        return;
    }
    try {
        const PythonApi* const api = load_python();
        code_start(api);
        python = api;
    } catch (const std::exception&) {
        python = nullptr;
    }
}

const char* python_where(Origin* origin, bool in_backward) noexcept {
    const char* function = nullptr;
    if (python == nullptr || (!in_backward && cached_where(python, origin, &function))) {
        return function;
    }
    try {
        const PythonLock lock(python);
        if (lock) {
            Walk walk(in_backward);
            walk.run();
            origin->location = walk.location();
            origin->module = walk.module();
            function = walk.api();
        }
    } catch (const std::exception&) {
        *origin = Origin{origin->api};
    }
    return function;
}

bool python_in_checkpoint() noexcept {
    try {
        const PythonLock lock(python);
        if (!lock) {
            return false;
        }
        Walk walk(true);
        walk.run();
        return walk.in_checkpoint();
    } catch (const std::exception&) {
        return false;
    }
}

}  // namespace fumi::mapping
