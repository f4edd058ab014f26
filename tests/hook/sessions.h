// Runs a program over the software device with the hook, and reads what it left.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fumi::test {

using Environment = std::map<std::string, std::string>;

struct Process {
    int status = -1;  // of exit, or 128 + signal
    std::string out, err;
    std::string session;    // path of the session; the file may not be there
    std::string directory;  // removed with the last copy of this
    std::shared_ptr<void> keeper;
    // Lines of err that FuMi wrote.
    std::vector<std::string> messages() const;
};

// In an empty directory of its own. `hooked`: CUDA_INJECTION64_PATH is set.
Process execute(const std::vector<std::string>& command, const Environment& environment = {},
                bool hooked = true);

std::string program(const std::string& name);  // path of a test program
std::string hook_library();                    // path of libfumi_cupti.so

// Rows of a query, every value as text, NULL as "null".
using Rows = std::vector<std::vector<std::string>>;
Rows query(const std::string& session, const std::string& sql);
std::string value(const std::string& session, const std::string& sql);  // of the one row and column
// Writes a configuration into a file of its own and returns its path.
std::string config_file(const std::string& text);
bool exists(const std::string& path);

}  // namespace fumi::test
