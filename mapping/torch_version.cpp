#include "mapping/torch_version.h"

#include <caffe2/core/common.h>
#include <torch/version.h>

#include <exception>

namespace fumi::mapping {
namespace {

// "2.11." of "2.11.0+cu130".
std::string_view series(std::string_view version) {
    return version.substr(0, version.find('.', version.find('.') + 1) + 1);
}

// Not at::show_config(), which initialises CUDA: who asks may be inside of that.
std::string running_version() {
    const auto& options = caffe2::GetBuildOptions();
    const auto found = options.find("TORCH_VERSION");
    return found != options.end() ? found->second : "that does not say its version";
}

}  // namespace

std::string of_another_torch(std::string_view version) {
    const std::string running = running_version();
    return series(running) == series(version)
               ? std::string()
               : "it was built for torch " + std::string(version) + ", and the program has torch " + running +
                     "; build FuMi with -DFUMI_PYTHON=PYTHON, a Python that has that one";
}

const char* of_another_torch() noexcept try {
    static const auto* const words =
        new std::string(of_another_torch(TORCH_VERSION));  // threads may ask while the process exits
    return words->empty() ? nullptr : words->c_str();
} catch (const std::exception&) {
    return "out of memory";
}

}  // namespace fumi::mapping
