#include "cupti_hook/session_file.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "cupti_hook/cupti/kernel_names.h"
#include "cupti_hook/interpose/interpose.h"
#include "cupti_hook/libraries/cublas_api.h"
#include "cupti_hook/libraries/cublaslt_api.h"
#include "cupti_hook/libraries/driver_api.h"
#include "cupti_hook/libraries/loaded_library.h"
#include "cupti_hook/message.h"
#include "cupti_hook/rerun/contracts.h"
#include "cupti_hook/torch_library.h"

namespace fumi {

namespace {

// True where this process now holds `path` for itself. The claim is an abstract socket: it leaves nothing
// behind and ends with the process, however that ends.
bool claim(const std::string& path) {
    std::error_code code;
    const std::string absolute = std::filesystem::absolute(path, code).lexically_normal().string();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t hash = std::hash<std::string>()(absolute);
    const int length = std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "fumi-session-%u-%zx",
                                     getuid(), hash);
    const int claimed = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (claimed < 0) return true;
    const auto size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
    if (bind(claimed, reinterpret_cast<const sockaddr*>(&address), size) == 0) return true;  // never closed
    const bool taken = errno == EADDRINUSE;
    close(claimed);
    return !taken;
}

std::string version(int number) {  // 13000 is 13.0
    return std::to_string(number / 1000) + '.' + std::to_string(number % 1000 / 10);
}

std::string library_version(std::size_t number) {  // 130100 is 13.1.0
    return std::to_string(number / 10000) + '.' + std::to_string(number / 100 % 100) + '.' +
           std::to_string(number % 100);
}

std::string command_line() {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(file)), {});
    for (char& c : text)
        if (c == '\0') c = ' ';
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text;
}

void write_versions(session::Writer& writer) {
    writer.set("fumi", FUMI_VERSION);
    if (const std::string torch = torch_version(); !torch.empty()) writer.set("torch", torch);
    if (const auto* cublas = libraries::cublas_api()) {
        int major = 0, minor = 0, patch = 0;
        if (cublas->get_property(MAJOR_VERSION, &major) == CUBLAS_STATUS_SUCCESS &&
            cublas->get_property(MINOR_VERSION, &minor) == CUBLAS_STATUS_SUCCESS &&
            cublas->get_property(PATCH_LEVEL, &patch) == CUBLAS_STATUS_SUCCESS)
            writer.set("cublas",
                       std::to_string(major) + '.' + std::to_string(minor) + '.' + std::to_string(patch));
    }
    if (const auto* lt = libraries::cublaslt_api())
        writer.set("cublaslt", library_version(lt->get_version()));
    for (const char* soname : {"libcudnn.so.9", "libcudnn_graph.so.9"}) {
        const libraries::LoadedLibrary cudnn(soname);
        std::size_t (*get_version)() = nullptr;
        if (cudnn && cudnn.find(get_version, "cudnnGetVersion")) {
            const std::size_t number = get_version();  // 91900 is 9.19.0
            writer.set("cudnn", library_version(number));
            break;
        }
    }
}

void write_device(session::Writer& writer) {
    if (!rerun::calibration_text().empty()) writer.set("calibration", rerun::calibration_text());
    const auto* driver = libraries::driver_api();
    if (driver == nullptr) return;
    int number = 0;
    if (driver->driver_get_version != nullptr && driver->driver_get_version(&number) == CUDA_SUCCESS)
        writer.set("cuda_driver", version(number));
    char name[256] = "";
    if (driver->device_get_name == nullptr || driver->device_get_attribute == nullptr ||
        driver->device_get_name(name, sizeof name, 0) != CUDA_SUCCESS)
        return;
    int major = 0, minor = 0;
    driver->device_get_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0);
    driver->device_get_attribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0);
    writer.set("device", name);
    writer.set("capability", "sm_" + std::to_string(major) + std::to_string(minor));
}

}  // namespace

std::string session_path(const config::Config& config) {
    // Under `fumi run` config::session_path keeps the processes of one job apart, also those that run one
    // after another. Without it a name is free again once its process has ended, as a user who starts a
    // program twice expects; processes that live at the same time (torchrun's) are told apart by the claim.
    std::filesystem::path path(config::session_path(config, getpid()));
    if (!claim(path.string()))
        path.replace_filename(path.stem().string() + '-' + std::to_string(getpid()) +
                              path.extension().string());
    return path.string();
}

std::unique_ptr<session::Writer> open_session(const config::Config& config) {
    std::string error;
    auto writer = session::Writer::create(session_path(config), &error);
    if (!writer) say("%s. The program goes on without FuMi.", error.c_str());
    return writer;
}

void write_head(session::Writer& writer, const config::Config& config) {
    write_versions(writer);
    write_device(writer);
    writer.set("command", command_line());
    writer.set("process", std::to_string(getpid()));
    std::error_code code;
    writer.set("directory", std::filesystem::current_path(code).string());
    writer.set("config", config::print(config));
    writer.set("numerics", "bound B of docs/numerics.md section 1; fail where |e| > B");
    writer.set("kernel_names", cupti::state());
}

void write_hooks(session::Writer& writer) {
    const interpose::Report report = interpose::report();
    std::size_t slots = 0, handed_out = 0, found = 0;
    for (const auto& hook : report.hooks) {
        slots += hook.slots;
        handed_out += hook.handed_out;
        found += hook.found_in.empty() ? 0 : 1;
    }
    std::string modules, skipped;
    for (const auto& module : report.modules) {
        const std::string name = module.soname.empty() ? "the program" : module.soname;
        modules += name + ": " + std::to_string(module.patched.size()) + " slots\n";
        for (const auto& slot : module.skipped)
            skipped += name + " " + slot.symbol + ": " + slot.reason + '\n';
    }
    writer.set("hooks_installed", std::to_string(report.hooks.size()));
    writer.set("hooks_found", std::to_string(found));
    writer.set("slots_patched", std::to_string(slots));
    writer.set("pointers_handed_out", std::to_string(handed_out));
    writer.set("modules_patched", modules);
    writer.set("slots_skipped", skipped);
    if (!report.note.empty()) writer.set("interposition", report.note);
}

}  // namespace fumi
