#include "tests/hook/sessions.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace fumi::test {

namespace {

std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// The environment of this test without what is FuMi's, the device's (but for the schedule) and the
// injection's.
Environment clean_environment() {
    Environment clean;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string text(*entry);
        const auto equals = text.find('=');
        const std::string name = text.substr(0, equals);
        const bool schedule = name == "SOFTCUDA_SCHEDULE" || name == "SOFTCUDA_SEED";
        if (!schedule &&
            (name.starts_with("FUMI_") || name.starts_with("SOFTCUDA_") || name.starts_with("CUDA_INJ")))
            continue;
        clean[name] = text.substr(equals + 1);
    }
    return clean;
}

[[noreturn]] void become(const std::vector<std::string>& command, const Environment& environment,
                         const std::string& directory) {
    const auto redirect = [&](const char* name, int to) {
        const int file = open((directory + "/" + name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
        dup2(file, to);
    };
    redirect("out", STDOUT_FILENO);
    redirect("err", STDERR_FILENO);
    if (chdir(directory.c_str()) != 0) _exit(126);
    std::vector<std::string> texts;
    for (const auto& [name, text] : environment) texts.emplace_back(name).append("=").append(text);
    std::vector<char*> variables, arguments;
    for (std::string& text : texts) variables.push_back(text.data());
    for (const std::string& text : command) arguments.push_back(const_cast<char*>(text.c_str()));
    variables.push_back(nullptr);
    arguments.push_back(nullptr);
    execve(arguments[0], arguments.data(), variables.data());
    _exit(127);
}

}  // namespace

std::vector<std::string> Process::messages() const {
    std::vector<std::string> found;
    std::istringstream lines(err);
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("fumi: ")) found.push_back(line);
    return found;
}

Process execute(const std::vector<std::string>& command, const Environment& extra, bool hooked) {
    Process result;
    std::string pattern = std::filesystem::temp_directory_path() / "fumi-hook-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) return result;
    result.directory = pattern;
    result.keeper = std::shared_ptr<void>(nullptr, [pattern](void*) {
        std::error_code code;
        std::filesystem::remove_all(pattern, code);
    });
    result.session = pattern + "/s.fumi";
    Environment environment = clean_environment();
    environment["FUMI_OUTPUT"] = result.session;
    environment["FUMI_MODE"] = "trace,improve_precision";
    environment["LD_PRELOAD"] = FUMI_TEST_PRELOAD;
    if (hooked) environment["CUDA_INJECTION64_PATH"] = hook_library();
    for (const auto& [name, text] : extra) environment[name] = text;
    const pid_t child = fork();
    if (child == 0) become(command, environment, result.directory);
    int status = 0;
    waitpid(child, &status, 0);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.out = contents(result.directory + "/out");
    result.err = contents(result.directory + "/err");
    return result;
}

std::string program(const std::string& name) {
    return std::string(FUMI_TEST_PROGRAMS) + "/" + name;
}
std::string hook_library() {
    return FUMI_TEST_HOOK;
}
// In one directory, which goes when the test program ends.
std::string config_file(const std::string& text) {
    struct Directory {
        std::string path = std::filesystem::temp_directory_path() / "fumi-config-XXXXXX";
        Directory() { (void)mkdtemp(path.data()); }
        ~Directory() {
            std::error_code code;
            std::filesystem::remove_all(path, code);
        }
    };
    static const Directory directory;
    static int number = 0;
    const std::string path = directory.path + "/" + std::to_string(number++) + ".yaml";
    std::ofstream(path) << text;
    return path;
}

bool exists(const std::string& path) {
    return std::filesystem::exists(path);
}

Rows query(const std::string& session, const std::string& sql) {
    Rows rows;
    sqlite3* database = nullptr;
    if (sqlite3_open_v2(session.c_str(), &database, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) {
        ADD_FAILURE() << "no session " << session;
        sqlite3_close(database);
        return rows;
    }
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(database, sql.c_str(), -1, &statement, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    while (statement != nullptr && sqlite3_step(statement) == SQLITE_ROW) {
        std::vector<std::string>& row = rows.emplace_back();
        for (int i = 0; i < sqlite3_column_count(statement); ++i) {
            const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
            row.emplace_back(text == nullptr ? "null" : text);
        }
    }
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return rows;
}

std::string value(const std::string& session, const std::string& sql) {
    const Rows rows = query(session, sql);
    EXPECT_EQ(rows.size(), 1U) << sql;
    return rows.size() == 1 && rows[0].size() == 1 ? rows[0][0] : std::string();
}

}  // namespace fumi::test
