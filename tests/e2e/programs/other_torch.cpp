// In LD_PRELOAD: torch's build options as those of another version.
#include <map>
#include <string>

namespace caffe2 {

__attribute__((visibility("default"))) const std::map<std::string, std::string>& GetBuildOptions();

const std::map<std::string, std::string>& GetBuildOptions() {
    static const std::map<std::string, std::string> options{{"TORCH_VERSION", "2.1.0"}};
    return options;
}

}  // namespace caffe2
