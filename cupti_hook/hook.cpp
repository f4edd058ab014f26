#include "cupti_hook/hook.h"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "config/config.h"
#include "cupti_hook/comparisons.h"
#include "cupti_hook/cupti/kernel_names.h"
#include "cupti_hook/drainer.h"
#include "cupti_hook/interpose/interpose.h"
#include "cupti_hook/libraries/cudnn_descriptors.h"
#include "cupti_hook/libraries/hook_table.h"
#include "cupti_hook/message.h"
#include "cupti_hook/operations.h"
#include "cupti_hook/origin_client.h"
#include "cupti_hook/program_start.h"
#include "cupti_hook/recorder.h"
#include "cupti_hook/torch_library.h"

namespace fumi {

namespace {

constexpr std::uint32_t ring_entries = 8192;

// Never destroyed: other threads may be in a wrapper while the process exits.
struct Parts {
    config::Config config;
    rerun::Ring ring{ring_entries};
    Recorder recorder{config, ring};
    Operations operations{config, recorder};
    Comparisons comparisons{config, recorder, operations};
    Drainer drainer{config, ring, recorder, operations};
    explicit Parts(config::Config chosen) : config(std::move(chosen)) {}
};
std::atomic<Parts*> parts{nullptr};
std::atomic_flag starting = ATOMIC_FLAG_INIT;
std::atomic<bool> cuda_initialises{false};
std::atomic_flag subscribed = ATOMIC_FLAG_INIT;

// The observer until the first call: then the rest is started.
class Starter final : public libraries::Observer {
  public:
    bool active() noexcept override {
        start();
        libraries::Observer* now = libraries::observer();
        return now != this && now != nullptr && now->active();
    }
    void before(libraries::Call&) noexcept override {}
    void after(libraries::Call&, int) noexcept override {}
    void context_ended() noexcept override {}
};
constinit Starter starter;

void finish() noexcept {
    Parts* mine = parts.exchange(nullptr);
    if (mine == nullptr) return;
    libraries::set_observer(nullptr);
    Operations::stop();
    Comparisons::stop();
    mine->drainer.finish();
}

// The child of a fork has no drainer, and its CUDA is dead where the parent's was alive. With follow_fork it
// starts anew at its first call, with a file of its own.
void in_forked_child() noexcept {
    Parts* inherited = parts.exchange(nullptr);
    if (inherited == nullptr) return;
    Operations::stop();
    Comparisons::stop();
    const bool follow = inherited->config.follow_fork;
    starting.clear();
    subscribed.clear();
    libraries::backend::forget_after_fork();
    libraries::set_observer(follow ? &starter : nullptr);
}

bool read_config(config::Config& config) {
    std::vector<config::Fault> faults;
    config = config::from_environment(&faults);
    for (const config::Fault& fault : faults) say("%s", fault.text().c_str());
    return !config.modes.empty();
}

// CUPTI initialises CUDA, so it waits until the program does.
void subscribe(const Parts& mine) {
    if (mine.config.kernel_names && cuda_initialises.load() && !subscribed.test_and_set()) cupti::subscribe();
}

void start_parts() {
    config::Config config;
    if (!read_config(config)) {
        libraries::set_observer(nullptr);
        return;
    }
    auto* made = new Parts(std::move(config));
    subscribe(*made);
    start_origins();
    made->drainer.start();
    made->operations.start();
    made->comparisons.start();
    parts.store(made);
    libraries::set_observer(&made->recorder);
    static const int once = [] {
        pthread_atfork(nullptr, nullptr, in_forked_child);
        return std::atexit(finish);
    }();
    (void)once;
}

void start_without_cuda() {
    install_hooks();
    if (!starting.test_and_set() && parts.load() == nullptr) start_parts();
}

}  // namespace

bool switched_off() noexcept {
    const char* mode = std::getenv("FUMI_MODE");
    return mode != nullptr && std::strcmp(mode, "off") == 0;
}

void install_hooks(bool before_main) noexcept try {
    static const bool installed = [before_main] {
        static auto& hooks = *new std::vector<interpose::Hook>(libraries::all_hooks());
        if (before_main) hooks.push_back(program_start_hook());
        interpose::Policy policy;
        policy.excluded = {"libcublas.so.*",     "libcublasLt.so.*", "libcudnn*.so.*",
                           "libcuda.so.*",       "libcudart.so.*",   "libcusolver*.so.*",
                           "libcusparse*.so.*",  "libcufft*.so.*",   "libcurand.so.*",
                           "libcupti.so.*",      "libnvrtc*.so.*",   "libnvJitLink.so.*",
                           "libnvToolsExt.so.*", "libnccl.so.*",     "libnvidia-*.so.*",
                           "libfumi_*.so",       "libsoftcuda*.so"};
        if (libraries::observer() == nullptr) libraries::set_observer(&starter);
        return interpose::install(hooks, policy);
    }();
    if (!installed) say_once("install", "the hooks could not be installed: nothing is seen");
} catch (...) {
    say_once("install", "out of memory: nothing is seen");
}

void start() noexcept try {
    cuda_initialises.store(true);
    if (starting.test_and_set()) {
        // Another thread is at it, whose first calls go unseen rather than wait; or it came with torch.
        if (const Parts* const mine = parts.load(); mine != nullptr) subscribe(*mine);
        return;
    }
    if (parts.load() == nullptr) start_parts();
} catch (const std::exception& exception) {
    say_once("start", "%s: the program goes on without FuMi", exception.what());
    libraries::set_observer(nullptr);
}

void start_with_torch() noexcept try {
    std::vector<config::Fault> said_by_start_parts;
    if (torch_is_loaded() && config::from_environment(&said_by_start_parts).operations) start_without_cuda();
} catch (const std::exception& exception) {
    say_once("start", "%s: no operation of torch is rerun", exception.what());
}

bool start_for_comparisons() noexcept try {
    std::vector<config::Fault> said_by_start_parts;
    if (!config::from_environment(&said_by_start_parts).compares_functions()) return false;
    start_without_cuda();
    return true;
} catch (const std::exception& exception) {
    say_once("start", "%s: no comparison is recorded", exception.what());
    return true;
}

}  // namespace fumi
