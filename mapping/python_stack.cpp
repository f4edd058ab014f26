#include "mapping/python_stack.h"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "mapping/module_names.h"
#include "mapping/python_api.h"

namespace at::sequence_number {
std::uint64_t peek();
}

namespace fumi::mapping {
namespace {

enum class CodeKind : std::uint8_t { program, torch, module_call, engine, checkpoint };

struct Code {
    CodeKind kind = CodeKind::program;
    std::string file;  // program: absolute where that could be told
    std::unordered_map<int, const char*> locations;  // by instruction, or by line before Python 3.11
};

// Guarded by the GIL. Code objects in it are kept alive, so that an address means one code; past the limit (a program
// that compiles code without end) nothing is kept and the text is made anew.
using Codes = std::unordered_map<PyHandle*, Code>;
constexpr std::size_t code_limit = 1U << 16U;
constexpr int frame_limit = 2000;
constexpr std::size_t module_limit = 128;

const PythonApi* python = nullptr;
std::string* torch_directory = nullptr;   // "/…/site-packages/torch/"
std::string* start_directory = nullptr;

Codes& codes() {
    static auto* const instance = new Codes;
    return *instance;
}

bool starts_with(std::string_view text, std::string_view start) noexcept {
    return text.substr(0, start.size()) == start;
}

std::string string_attribute(PyHandle* object, const char* name) {
    std::string text;
    PyHandle* const value = python->get_attr(object, name);
    if (value != nullptr) {
        if (const char* utf8 = python->utf8(value); utf8 != nullptr) {
            text = utf8;
        }
        python->decref(value);
    }
    python->error_clear();
    return text;
}

// Code that torch or Python wrote as it ran: no engineer wrote a line of it.
bool is_generated(std::string_view file) noexcept {
    return starts_with(file, "<eval_with_key>") || starts_with(file, "<frozen") ||
           starts_with(file, "<torch") || starts_with(file, "<__array_function__") ||
           file.find("/torchinductor_") != std::string_view::npos;
}

CodeKind torch_kind(std::string_view inside, std::string_view function) noexcept {
    if (function == "_wrapped_call_impl" && inside == "nn/modules/module.py") {
        return CodeKind::module_call;
    }
    if (function == "_engine_run_backward" && inside == "autograd/graph.py") {
        return CodeKind::engine;
    }
    return inside == "utils/checkpoint.py" ? CodeKind::checkpoint : CodeKind::torch;
}

std::string absolute(const std::string& file) {
    if (file.empty() || file[0] == '/' || file[0] == '<' || start_directory->empty()) {
        return file;
    }
    std::string whole = *start_directory + "/" + (starts_with(file, "./") ? file.substr(2) : file);
    return access(whole.c_str(), F_OK) == 0 ? whole : file;
}

Code read_code(PyHandle* object) {
    Code code;
    const std::string file = string_attribute(object, "co_filename");
    if (starts_with(file, *torch_directory)) {
        code.kind = torch_kind(std::string_view(file).substr(torch_directory->size()),
                               string_attribute(object, "co_name"));
    } else if (is_generated(file)) {
        code.kind = CodeKind::torch;
    } else {
        code.file = absolute(file);
    }
    return code;
}

// `object` (a reference is taken over) as a Code; *spare where it is not to be kept.
Code& code_of(PyHandle* object, Code* spare) {
    const auto found = codes().find(object);
    if (found != codes().end()) {
        python->decref(object);
        return found->second;
    }
    if (codes().size() < code_limit) {
        return codes().emplace(object, read_code(object)).first->second;
    }
    *spare = read_code(object);
    python->decref(object);
    return *spare;
}

const char* location_of(Code& code, PyHandle* frame) {
    const int at = python->frame_lasti != nullptr ? python->frame_lasti(frame) : python->frame_line(frame);
    const char*& text = code.locations[at];
    if (text == nullptr) {
        text = intern(code.file + ":" + std::to_string(python->frame_line(frame)));
    }
    return text;
}

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

// One look at the thread's frames, from the innermost outwards.
class Walk {
  public:
    explicit Walk(bool in_backward) : in_backward_(in_backward) {}
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
        for (int depth = 0; frame != nullptr && depth < frame_limit; ++depth) {
            look_at(frame);
            PyHandle* const back = python->frame_back(frame);
            python->decref(frame);
            frame = back;
        }
        if (frame != nullptr) {
            python->decref(frame);
        }
    }

    const char* location() const noexcept { return location_; }
    bool in_checkpoint() const noexcept { return checkpoint_; }
    const char* module() const noexcept {
        return module_name(*python, modules_.data(), module_count_, in_backward_);
    }

  private:
    void look_at(PyHandle* frame) {
        Code spare;
        Code& code = code_of(python->frame_code(frame), &spare);
        const bool near = !in_backward_ || !engine_;
        if (code.kind == CodeKind::program && *location_ == '\0') {
            location_ = location_of(code, frame);
        } else if (code.kind == CodeKind::module_call && near && module_count_ < module_limit) {
            add_module(self_of(frame));
        } else if (code.kind == CodeKind::engine) {
            engine_ = true;
        } else if (code.kind == CodeKind::checkpoint && !engine_) {
            checkpoint_ = true;
        }
    }

    void add_module(PyHandle* self) noexcept {
        if (self != nullptr) {
            modules_[module_count_++] = self;
        }
    }

    bool in_backward_;
    bool engine_ = false;
    bool checkpoint_ = false;
    const char* location_ = "";
    std::size_t module_count_ = 0;
    std::array<PyHandle*, module_limit> modules_;
};

std::string directory_of_torch() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<void*>(&at::sequence_number::peek), &info) == 0 || info.dli_fname == nullptr) {
        return "/torch/";
    }
    std::string path = info.dli_fname;
    for (int up = 0; up < 2 && path.find('/') != std::string::npos; ++up) {  // …/torch/lib/libtorch_cpu.so
        path.resize(path.rfind('/'));
    }
    return path + "/";
}

}  // namespace

void python_start() noexcept {
    try {
        std::array<char, PATH_MAX> here{};
        start_directory = new std::string(getcwd(here.data(), here.size()) != nullptr ? here.data() : "");
        torch_directory = new std::string(directory_of_torch());
        python = load_python();
    } catch (const std::exception&) {
        python = nullptr;
    }
}

void python_where(Origin* origin, bool in_backward) noexcept {
    try {
        const PythonLock lock(python);
        if (lock) {
            Walk walk(in_backward);
            walk.run();
            origin->location = walk.location();
            origin->module = walk.module();
        }
    } catch (const std::exception&) {
        *origin = Origin{origin->api};
    }
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
