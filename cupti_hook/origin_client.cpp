#include "cupti_hook/origin_client.h"

#include <dlfcn.h>

#include <atomic>
#include <string>

#include "cupti_hook/message.h"
#include "cupti_hook/torch_library.h"

namespace fumi {

namespace {

std::atomic<fumi_torch_origin_t> describe{nullptr};
std::atomic<bool> tried{false};
std::atomic<fumi_torch_watch_operations_t> watch{nullptr};
std::atomic<const FumiOperationRecorder*> watcher{nullptr};

std::atomic<fumi_torch_record_comparisons_t> record{nullptr};
std::atomic<const FumiComparisonRecorder*> comparing{nullptr};

void watch_if_ready() noexcept {
    const auto begin = watch.load(std::memory_order_acquire);
    const FumiOperationRecorder* const recorder = watcher.load(std::memory_order_acquire);
    const char* error = "";
    if (begin != nullptr && recorder != nullptr && begin(recorder, &error) != 0)
        say_once("operations", "%s; no operation is rerun", error);
    const auto to = record.load(std::memory_order_acquire);
    if (const auto* const comparisons = comparing.load(std::memory_order_acquire);
        to != nullptr && comparisons != nullptr)
        to(comparisons);
}

std::string beside_this_library(const char* name) {
    Dl_info info{};
    if (dladdr(reinterpret_cast<const void*>(&torch_is_loaded), &info) == 0 || info.dli_fname == nullptr)
        return name;
    const std::string path(info.dli_fname);
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? std::string(name) : path.substr(0, slash + 1) + name;
}

std::string of_another_torch() {
    return ": it was built for another torch than the program's " + torch_version() +
           "; build FuMi with -DFUMI_PYTHON=PYTHON, a Python that has that one";
}

void start() {
    const std::string path = beside_this_library("libfumi_torch.so");
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const std::string reason = dlerror();
        const bool another = reason.find("undefined symbol") != std::string::npos;
        say("%s%s; calls are recorded without their torch API and line", reason.c_str(),
            another ? of_another_torch().c_str() : "");
        return;
    }
    const auto begin = reinterpret_cast<fumi_torch_start_t>(dlsym(library, "fumi_torch_start"));
    const auto origin = reinterpret_cast<fumi_torch_origin_t>(dlsym(library, "fumi_torch_origin"));
    const char* error = "it lacks an entry point";
    if (begin == nullptr || origin == nullptr || begin(FUMI_ORIGIN_ABI, nullptr, &error) != 0) {
        say("%s: %s; calls are recorded without their torch API and line", path.c_str(), error);
        return;
    }
    describe.store(origin, std::memory_order_release);
    watch.store(
        reinterpret_cast<fumi_torch_watch_operations_t>(dlsym(library, "fumi_torch_watch_operations")),
        std::memory_order_release);
    record.store(
        reinterpret_cast<fumi_torch_record_comparisons_t>(dlsym(library, "fumi_torch_record_comparisons")),
        std::memory_order_release);
    watch_if_ready();
}

}  // namespace

void start_origins() noexcept try {
    if (tried.load(std::memory_order_relaxed) || !torch_is_loaded() || tried.exchange(true)) return;
    start();
} catch (...) {
    say_once("origins", "out of memory: calls are recorded without their torch API and line");
}

void watch_operations(const FumiOperationRecorder* recorder) noexcept {
    watcher.store(recorder, std::memory_order_release);
    watch_if_ready();
}

void record_comparisons(const FumiComparisonRecorder* recorder) noexcept {
    comparing.store(recorder, std::memory_order_release);
    watch_if_ready();
}

FumiOrigin current_origin() noexcept {
    FumiOrigin origin{"", "", "", "", FUMI_PHASE_NONE};
    if (const auto origin_of = describe.load(std::memory_order_acquire)) origin_of(&origin);
    return origin;
}

}  // namespace fumi
