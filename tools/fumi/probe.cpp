#include "tools/fumi/probe.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace fumi::tool {

namespace {

// Reads until the writer closes or the time is over.
std::string read_all(int descriptor, int seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd wanted{descriptor, POLLIN, 0};
        if (left.count() <= 0 || poll(&wanted, 1, static_cast<int>(left.count())) <= 0) return {};
        const ssize_t size = read(descriptor, buffer.data(), buffer.size());
        if (size <= 0) return text;
        text.append(buffer.data(), static_cast<std::size_t>(size));
    }
}

template <typename Function>
Function symbol(void* library, const char* name) {
    return reinterpret_cast<Function>(dlsym(library, name));
}

// Three driver entry points, by their documented signatures; CUresult is an int, 0 is success.
nlohmann::json ask_driver() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return {{"obstacle", "no NVIDIA driver: libcuda.so.1 is not found"}};
    const auto init = symbol<int (*)(unsigned)>(library, "cuInit");
    const auto version = symbol<int (*)(int*)>(library, "cuDriverGetVersion");
    const auto device_count = symbol<int (*)(int*)>(library, "cuDeviceGetCount");
    const auto device_name = symbol<int (*)(char*, int, int)>(library, "cuDeviceGetName");
    if (init == nullptr || version == nullptr || device_count == nullptr || device_name == nullptr)
        return {{"obstacle", "libcuda.so.1 is not a CUDA driver"}};
    nlohmann::json answer;
    int number = 0;
    if (version(&number) == 0) answer["version"] = fmt::format("{}.{}", number / 1000, number % 1000 / 10);
    if (const int result = init(0); result != 0) {
        answer["obstacle"] = result == 100
                                 ? std::string("the driver finds no device (cuInit: CUDA_ERROR_NO_DEVICE)")
                                 : fmt::format("the driver does not start (cuInit returns {})", result);
        return answer;
    }
    int devices = 0;
    if (device_count(&devices) != 0 || devices == 0) {
        answer["obstacle"] = "the driver shows no device (is CUDA_VISIBLE_DEVICES empty?)";
        return answer;
    }
    answer["devices"] = devices;
    std::array<char, 256> name{};
    if (device_name(name.data(), name.size() - 1, 0) == 0) answer["device"] = name.data();
    return answer;
}

}  // namespace

std::string in_child(const std::function<std::string()>& body, int seconds) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) return {};
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        const std::string text = body();
        const ssize_t written = write(ends[1], text.data(), text.size());
        _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
    }
    close(ends[1]);
    std::string text = child > 0 ? read_all(ends[0], seconds) : std::string();
    close(ends[0]);
    if (child > 0) {
        kill(child, SIGKILL);
        int status = 0;
        waitpid(child, &status, 0);
    }
    return text;
}

Driver probe_driver() {
    const std::string text = in_child(
        [] {
            // What is to be injected into the program has no business in the probe.
            for (const char* name : {"CUDA_INJECTION64_PATH", "LD_PRELOAD"}) unsetenv(name);
            return ask_driver().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        },
        30);
    Driver driver;
    const nlohmann::json answer = nlohmann::json::parse(text, nullptr, false);
    if (!answer.is_object()) {
        driver.obstacle = "the driver did not answer within 30 s, or crashed";
        return driver;
    }
    driver.devices = answer.value("devices", 0);
    driver.version = answer.value("version", "");
    driver.device = answer.value("device", "");
    driver.obstacle = answer.value("obstacle", "");
    return driver;
}

}  // namespace fumi::tool
