// What the tests of this directory share: the hooks with counting wrappers, and the fixtures as loaded
// libraries.
#ifndef FUMI_TESTS_INTERPOSE_SUPPORT_H
#define FUMI_TESTS_INTERPOSE_SUPPORT_H

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "cupti_hook/interpose/interpose.h"

namespace fumi::interpose {

inline std::string fixture(const std::string& file) {
    return std::string(FIXTURES) + "/" + file;
}

// Wrappers of the vendor's functions: call the original, and count.
struct Counter {
    std::atomic<void*> original{nullptr};
    std::atomic<int> calls{0};
};
inline Counter add, scale_1, scale_2;

inline int wrapped_add(int a, int b) noexcept {
    add.calls.fetch_add(1, std::memory_order_relaxed);
    return reinterpret_cast<int (*)(int, int)>(add.original.load(std::memory_order_acquire))(a, b);
}
template <Counter& counter>
int wrapped_scale(int a) noexcept {
    counter.calls.fetch_add(1, std::memory_order_relaxed);
    return reinterpret_cast<int (*)(int)>(counter.original.load(std::memory_order_acquire))(a);
}

inline Hook add_hook() {
    return {"vendor_add", nullptr, "libvendor.so.*", reinterpret_cast<void*>(&wrapped_add), &add.original};
}
inline Hook scale_hook(const char* version) {
    const bool first = version != nullptr && std::string(version) == "VENDOR_1";
    return {"vendor_scale", version, "libvendor.so.*",
            reinterpret_cast<void*>(first ? &wrapped_scale<scale_1> : &wrapped_scale<scale_2>),
            first ? &scale_1.original : &scale_2.original};
}
inline std::vector<Hook> all_hooks() {
    return {add_hook(), scale_hook("VENDOR_1"), scale_hook("VENDOR_2")};
}

// The vendor's own slots are its own matter, as NVIDIA's are.
inline Policy usual_policy() {
    Policy policy;
    policy.excluded = {"libvendor.so.*"};
    return policy;
}

class Library {
  public:
    explicit Library(const std::string& file, int flags = RTLD_LAZY | RTLD_LOCAL)
        : handle_(dlopen(fixture(file).c_str(), flags)) {
        if (handle_ == nullptr) ADD_FAILURE() << dlerror();
    }
    ~Library() { close(); }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;
    void close() {
        if (handle_ != nullptr) dlclose(handle_);
        handle_ = nullptr;
    }
    void* handle() const { return handle_; }

    template <typename Function>
    Function* get(const char* name) const {
        return reinterpret_cast<Function*>(dlsym(handle_, name));
    }
    int add(int a, int b) const { return get<int(int, int)>("client_add")(a, b); }
    int scale(int a) const { return get<int(int)>("client_scale")(a); }
    void* dlsym_from(void* handle, const char* name) const {
        return get<void*(void*, const char*)>("client_dlsym")(handle, name);
    }
    void* dlvsym_from(void* handle, const char* name, const char* version) const {
        return get<void*(void*, const char*, const char*)>("client_dlvsym")(handle, name, version);
    }
    void* dlopen_from(const char* name) const {
        return get<void*(const char*, int)>("client_dlopen")(name, RTLD_NOW | RTLD_LOCAL);
    }

  private:
    void* handle_;
};

// Runs `body` in a forked child; returns its exit status, -1 if it had to be killed after ten seconds.
template <typename Body>
int in_child(const Body& body) {
    const pid_t child = fork();
    if (child == 0) _exit(body());
    int status = 0;
    for (int i = 0; i < 10000; ++i) {
        if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
        usleep(1000);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return -1;
}

class Interpose : public ::testing::Test {
  protected:
    void SetUp() override {
        for (Counter* counter : {&add, &scale_1, &scale_2}) {
            counter->calls = 0;
            counter->original = nullptr;
        }
    }
    void TearDown() override { uninstall(); }

    static void install_all() { ASSERT_TRUE(install(hooks(), usual_policy())); }
    static const std::vector<Hook>& hooks() {
        static const std::vector<Hook> all = all_hooks();
        return all;
    }
    // The reasons for which slots of `module` were left alone.
    static std::vector<std::string> skipped(const std::string& soname) {
        std::vector<std::string> reasons;
        for (const ModuleReport& module : report().modules)
            if (module.soname == soname)
                for (const SkippedSlot& slot : module.skipped)
                    reasons.push_back(slot.symbol + ": " + slot.reason);
        return reasons;
    }
    static std::size_t patched(const std::string& soname, SlotKind kind) {
        std::size_t count = 0;
        for (const ModuleReport& module : report().modules)
            if (module.soname == soname)
                for (const PatchedSlot& slot : module.patched)
                    count += slot.kind == kind && slot.symbol.starts_with("vendor");
        return count;
    }
};

}  // namespace fumi::interpose
#endif
