#include "mapping/python_code.h"

#include <ATen/SequenceNumber.h>
#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <filesystem>
#include <string_view>

#include "mapping/api_table.h"
#include "mapping/intern.h"

namespace fumi::mapping {
namespace {

// Past the limit (a program that compiles code without end) no more code is kept and its text is made anew.
using Codes = std::unordered_map<PyHandle*, Code>;
constexpr std::size_t code_limit = 1U << 16U;

const PythonApi* python = nullptr;

struct Directories {
    std::string torch;  // "/…/site-packages/torch/"
    std::string start;  // where the process was when torch came
};

// Never destroyed: threads of the program may still run ops while the process exits.
Directories& directories() {
    static auto* const instance = new Directories;
    return *instance;
}

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

// nn/functional.py: softmin -> torch.nn.functional.softmin.
const char* api_of_code(std::string_view inside, const std::string& function) {
    if (inside == "nn/functional.py") {
        return python_api(("torch.nn.functional." + function).c_str());
    }
    return inside == "functional.py" ? python_api(("torch." + function).c_str()) : nullptr;
}

std::string absolute(const std::string& file) {
    const std::string& start = directories().start;
    if (file.empty() || file[0] == '/' || file[0] == '<' || start.empty()) {
        return file;
    }
    const std::filesystem::path whole = std::filesystem::path(start) / file;
    for (const std::string& name : {whole.lexically_normal().string(), whole.string()}) {
        if (access(name.c_str(), F_OK) == 0) {
            return name;
        }
    }
    return file;
}

Code read_code(PyHandle* object) {
    Code code;
    const std::string file = string_attribute(object, "co_filename");
    const std::string& torch = directories().torch;
    if (starts_with(file, torch)) {
        const std::string_view inside = std::string_view(file).substr(torch.size());
        const std::string function = string_attribute(object, "co_name");
        code.kind = torch_kind(inside, function);
        code.api = api_of_code(inside, function);
    } else if (is_generated(file) || file.ends_with("/fumi/comparison.py") ||
               file.ends_with("/fumi/_comparison.py")) {
        code.kind = CodeKind::torch;
    } else {
        code.file = absolute(file);
    }
    return code;
}

std::string directory_of_torch() {
    Dl_info info{};
    if (dladdr(reinterpret_cast<void*>(&at::sequence_number::peek), &info) == 0 ||
        info.dli_fname == nullptr) {
        return "/torch/";
    }
    std::string path = info.dli_fname;
    for (int up = 0; up < 2 && path.find('/') != std::string::npos; ++up) {  // …/torch/lib/libtorch_cpu.so
        path.resize(path.rfind('/'));
    }
    return path + "/";
}

}  // namespace

void code_start(const PythonApi* api) {
    python = api;
    std::array<char, PATH_MAX> here{};
    directories().start = getcwd(here.data(), here.size()) != nullptr ? here.data() : "";
    directories().torch = directory_of_torch();
}

Code& code_of(PyHandle* object) {
    const auto found = codes().find(object);
    if (found != codes().end()) {
        python->decref(object);
        return found->second;
    }
    if (codes().size() < code_limit) {
        Code& code = codes().emplace(object, read_code(object)).first->second;
        code.kept = true;
        return code;
    }
    static auto* const passing = new Code;
    *passing = read_code(object);
    python->decref(object);
    return *passing;
}

const char* location_of(Code& code, PyHandle* frame) {
    const int at = python->frame_lasti != nullptr ? python->frame_lasti(frame) : python->frame_line(frame);
    const char*& text = code.locations[at];
    if (text == nullptr) {
        text = intern(code.file + ":" + std::to_string(python->frame_line(frame)));
    }
    return text;
}

}  // namespace fumi::mapping
