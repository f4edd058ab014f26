#include "tools/fumi/doctor.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cupti_hook/session/reader.h"
#include "tools/fumi/files.h"
#include "tools/fumi/layout.h"
#include "tools/fumi/probe.h"
#include "tools/fumi/run.h"
#include "tools/fumi/text.h"

namespace fumi::tool {

namespace fs = std::filesystem;

namespace {

enum class State { ok, note, missing };

struct Finding {
    std::string what;
    State state = State::ok;
    std::string detail;
    std::string remedy;  // "" where nothing need be done
};

const char* name(State state) {
    return state == State::ok ? "ok" : state == State::note ? "note" : "missing";
}

constexpr const char* reinstall = "reinstall FuMi (tools/setup, or pip install .)";

Finding library(const char* file, const char* purpose, State otherwise) {
    const std::string path = find_library(file);
    if (!path.empty()) return {file, State::ok, path, ""};
    return {file, otherwise,
            fmt::format("not found in {}: {}", fmt::join(library_directories(), " or "), purpose), reinstall};
}

std::vector<Finding> own_libraries() {
    return {{"fumi", State::ok, fmt::format("{} {}", FUMI_VERSION, executable_path()), ""},
            library(hook_library, "nothing can be intercepted", State::missing),
            library(torch_library, "calls would have no torch API, line or module", State::missing),
            library(soft_library, "programs need a GPU", State::note)};
}

std::vector<Finding> device() {
    const Driver driver = probe_driver();
    if (driver.devices > 0)
        return {{"device", State::ok,
                 fmt::format("{}, {}, driver for CUDA {}", driver.device, plural(driver.devices, "device"),
                             driver.version),
                 ""}};
    const bool soft = !find_library(soft_library).empty();
    return {{"device", soft ? State::note : State::missing,
             driver.obstacle + (soft ? "; fumi run uses softcuda, the software device" : ""),
             soft ? "" : "install the NVIDIA driver, or softcuda with FuMi"}};
}

// Asks the python of the PATH without importing torch, which would take seconds and start CUDA.
constexpr const char* python_question = R"py(
import importlib.metadata as m, importlib.util as u, json, os, sys
def version(*names):
    for name in names:
        try: return m.version(name)
        except Exception: pass
    return ""
def folder(name):
    try:
        spec = u.find_spec(name)
        return list(spec.submodule_search_locations)[0] if spec and spec.submodule_search_locations else ""
    except Exception: return ""
found = {}
for base in [folder("nvidia")] if folder("nvidia") else []:
    for root, _, files in os.walk(base):
        for f in files:
            for lib in ("libcublas.so", "libcublasLt.so", "libcudnn.so", "libcupti.so", "libcudart.so"):
                if f.startswith(lib + "."): found[lib] = os.path.join(root, f)
torch = folder("torch")
cuda = os.path.exists(os.path.join(torch, "lib", "libtorch_cuda.so")) if torch else False
print(json.dumps({"python": sys.executable, "version": sys.version.split()[0], "torch": version("torch") if torch else "",
    "cuda": cuda, "fumi": folder("fumi"), "libraries": found,
    "versions": {"libcublas.so": version("nvidia-cublas", "nvidia-cublas-cu13", "nvidia-cublas-cu12"),
                 "libcublasLt.so": version("nvidia-cublas", "nvidia-cublas-cu13", "nvidia-cublas-cu12"),
                 "libcudnn.so": version("nvidia-cudnn-cu13", "nvidia-cudnn-cu12"),
                 "libcupti.so": version("nvidia-cuda-cupti", "nvidia-cuda-cupti-cu12"),
                 "libcudart.so": version("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12")}}))
)py";

nlohmann::json ask_python(const std::string& python) {
    const std::string text = in_child(
        [&python] {
            std::array<char, 4096> buffer{};
            std::string output;
            unsetenv("CUDA_INJECTION64_PATH");
            unsetenv("LD_PRELOAD");
            setenv("FUMI_QUESTION", python_question, 1);
            std::FILE* pipe = popen(("'" + python + "' -c \"$FUMI_QUESTION\" 2>/dev/null").c_str(), "r");
            if (pipe == nullptr) return output;
            while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) output += buffer.data();
            pclose(pipe);
            return output;
        },
        60);
    return nlohmann::json::parse(text, nullptr, false);
}

// The python that the command names, else the one beside fumi (a virtual environment's), else the PATH's.
std::string choose_python(const std::vector<std::string>& command) {
    if (!command.empty() && fs::path(command[0]).filename().string().starts_with("python"))
        return find_program(command[0]);
    const std::string beside = (fs::path(executable_path()).parent_path() / "python").string();
    for (const std::string& name : {beside, std::string("python"), std::string("python3")})
        if (std::string python = find_program(name); !python.empty()) return python;
    return {};
}

Finding math_library(const nlohmann::json& answer, const char* file, const char* purpose) {
    const std::string path = answer["libraries"].value(file, "");
    const std::string version = answer["versions"].value(file, "");
    if (!path.empty()) return {file, State::ok, version.empty() ? path : version + "  " + path, ""};
    void* library = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
    if (library != nullptr) {
        dlclose(library);
        return {file, State::ok, "the system's", ""};
    }
    return {file, State::note, std::string("not found: ") + purpose, "pip install torch with CUDA brings it"};
}

std::vector<Finding> python_findings(const std::vector<std::string>& command) {
    const std::string python = choose_python(command);
    if (python.empty())
        return {{"python", State::note, "none on the PATH; programs without Python are traced too", ""}};
    const nlohmann::json answer = ask_python(python);
    if (!answer.is_object())
        return {{"python", State::note, python + " does not answer",
                 "put the python with torch first on the PATH"}};
    std::vector<Finding> findings = {
        {"python", State::ok, answer.value("version", "") + "  " + answer.value("python", ""), ""}};
    const std::string torch = answer.value("torch", "");
    if (torch.empty())
        findings.push_back({"torch", State::note, "this python has none",
                            "pip install torch, or put the python that has it first on the PATH"});
    else if (!answer.value("cuda", false))
        findings.push_back({"torch", State::note,
                            torch + " is built without CUDA: it makes no call that could be checked",
                            "install the CUDA build of torch"});
    else
        findings.push_back({"torch", State::ok, torch, ""});
    const std::string package = answer.value("fumi", "");
    findings.push_back(package.empty()
                           ? Finding{"fumi package", State::note,
                                     "this python has none: module paths may be missing", reinstall}
                           : Finding{"fumi package", State::ok, package, ""});
    findings.push_back(math_library(answer, "libcublas.so", "no cuBLAS call can be made"));
    findings.push_back(math_library(answer, "libcublasLt.so", "no cuBLASLt call can be made"));
    findings.push_back(math_library(answer, "libcupti.so", "calls are checked, but kernels have no names"));
    return findings;
}

std::vector<Finding> surroundings() {
    std::vector<Finding> findings;
    if (const char* other = std::getenv("CUDA_INJECTION64_PATH"); other != nullptr && *other != '\0')
        findings.push_back({"CUDA_INJECTION64_PATH", State::note,
                            std::string("is ") + other + "; fumi run puts FuMi in its place",
                            "unset it to silence this"});
    if (const char* preload = std::getenv("LD_PRELOAD"); preload != nullptr && *preload != '\0')
        findings.push_back(
            {"LD_PRELOAD", State::note, std::string("is ") + preload + "; fumi run appends to it", ""});
    if (access(".", W_OK) != 0)
        findings.push_back({"session", State::note, "the current directory is not writable",
                            "choose a file elsewhere with -o"});
    findings.push_back({"hooked", State::ok,
                        "cuBLAS and cuBLASLt: GEMM, batched GEMM, gemv, dot, cublasLtMatmul; cuDNN: "
                        "convolution, batch norm, attention, RNN, CTC, grid sampling, pooling, softmax; "
                        "traced and checked in fp64",
                        ""});
    findings.push_back({"not hooked", State::note,
                        "cuSOLVER, cuSPARSE and cuFFT; torch's own kernels are checked with --operations on",
                        ""});
    return findings;
}

struct Trial {  // what a trace of the command saw
    int status = 0;
    nlohmann::ordered_json sessions = nlohmann::ordered_json::array();
};

Trial trace(const std::vector<std::string>& command) {
    std::string pattern = (fs::temp_directory_path() / "fumi-doctor-XXXXXX").string();
    Trial trial;
    if (mkdtemp(pattern.data()) == nullptr) return trial;
    RunOptions options;
    options.output = pattern + "/doctor.fumi";
    options.mode = "trace";
    options.quiet = true;
    options.command = command;
    trial.status = run(options);
    for (const std::string& file : session_files(options.output, {})) {
        std::string error;
        const auto reader = session::Reader::open(file, &error);
        if (reader == nullptr) continue;
        nlohmann::ordered_json session;
        for (const auto& [key, value] : reader->values()) session["session"][key] = value;
        session["calls"] = reader->counts().calls;
        session["functions"] = nlohmann::ordered_json::object();
        for (const auto& group : reader->groups(session::By::function))
            session["functions"][group.key] = group.calls;
        std::int64_t unmapped = 0;
        for (const auto& group : reader->groups(session::By::api))
            if (group.key.empty()) unmapped += group.calls;
        session["calls_without_api"] = unmapped;
        trial.sessions.push_back(std::move(session));
    }
    std::error_code code;
    fs::remove_all(pattern, code);
    return trial;
}

void print_trial(const Trial& trial) {
    fmt::print("\nthe command ended with status {}\n", trial.status);
    if (trial.sessions.empty())
        fmt::print("nothing was intercepted: it did not initialise CUDA, or was linked statically\n");
    for (const auto& session : trial.sessions) {
        fmt::print("{} intercepted, {} of them without a torch API\n",
                   plural(session["calls"].get<std::int64_t>(), "call"),
                   session["calls_without_api"].get<std::int64_t>());
        for (const auto& [function, calls] : session["functions"].items())
            fmt::print("  {:>9}  {}\n", count(calls.get<std::int64_t>()), function);
        if (session.contains("session"))
            for (const auto& [key, value] : session["session"].items())
                fmt::print("  {}: {}\n", key, value.get<std::string>());
    }
}

void print_text(const std::vector<Finding>& findings) {
    const Painter paint(stdout);
    std::size_t width = 0;
    for (const Finding& finding : findings) width = std::max(width, finding.what.size());
    for (const Finding& finding : findings) {
        const Colour colour = finding.state == State::ok     ? Colour::green
                              : finding.state == State::note ? Colour::yellow
                                                             : Colour::red;
        fmt::print("{}  {:<{}}  {}\n", paint(colour, fmt::format("{:<7}", name(finding.state))), finding.what,
                   width, finding.detail);
        if (!finding.remedy.empty()) fmt::print("{:>{}}  -> {}\n", "", width + 9, finding.remedy);
    }
}

}  // namespace

int doctor(bool json, const std::vector<std::string>& command) {
    std::vector<Finding> findings;
    for (const auto& part : {own_libraries(), device(), python_findings(command), surroundings()})
        findings.insert(findings.end(), part.begin(), part.end());
    bool missing = false;
    for (const Finding& finding : findings) missing = missing || finding.state == State::missing;
    if (!json) print_text(findings);

    nlohmann::ordered_json document;
    for (const Finding& finding : findings)
        document["findings"].push_back({{"what", finding.what},
                                        {"state", name(finding.state)},
                                        {"detail", finding.detail},
                                        {"remedy", finding.remedy}});
    if (!command.empty()) {
        static_cast<void>(std::fflush(stdout));  // before the program writes
        const Trial trial = trace(command);
        document["command"] = {{"status", trial.status}, {"sessions", trial.sessions}};
        if (!json) print_trial(trial);
    }
    document["ok"] = !missing;
    if (json)
        fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return missing ? 1 : 0;
}

}  // namespace fumi::tool
