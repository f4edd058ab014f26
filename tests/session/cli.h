// Runs the fumi command as a shell does.
#pragma once
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/session/sample.h"

namespace fumi::session {

struct Result {
    int status = 0;  // 128 + signal where one ended it
    std::string out, err;
};

inline std::string slurp(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// `command` is a shell command line, run in `directory`; $FUMI and $SAMPLE name the programs under test.
inline Result shell(const ScratchDirectory& directory, const std::string& command) {
    const std::string out = directory.file("stdout"), err = directory.file("stderr");
    const std::string line = "cd '" + directory.path() +
                             "' && FUMI='" FUMI_BIN "' SAMPLE='" FUMI_SAMPLE "' && export FUMI SAMPLE && { " +
                             command + "\n} >'" + out + "' 2>'" + err + "' </dev/null";
    Result result;
    const int status = std::system(line.c_str());
    result.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    result.out = slurp(out);
    result.err = slurp(err);
    return result;
}

}  // namespace fumi::session
