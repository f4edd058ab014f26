// fumi run: the program under FuMi, then the summary.
#pragma once
#include <string>
#include <vector>

namespace fumi::tool {

struct RunOptions {
    std::string output;           // -o; "" leaves it to the config
    std::string config;           // -c
    std::string mode;             // --mode; "" leaves it to the config
    std::string profile;          // --profile; "" leaves it to the config
    std::string device = "auto";  // auto | cuda | soft
    std::string apis;             // --apis
    std::string operations;       // off | on | forward; "" leaves it to the config
    std::string coverage;         // full | sampled; "" leaves it to the config
    std::string fail_on;          // none | warn | fail; "" leaves it to the config
    std::string calibration;      // --calibration
    bool quiet = false;           // no summary
    std::vector<std::string> command;
};

// The exit status of the command: the program's own; 3 where --fail-on holds and the program's was 0; 2 for a
// mistake in the options or an incomplete installation, before the program is started.
int run(const RunOptions& options);

// fumi calibrate: runs fumi_calibrate, which lies beside this command, on the device.
int calibrate(const std::string& device, const std::string& output, const std::string& cublas);

}  // namespace fumi::tool
