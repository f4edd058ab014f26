#include "tools/fumi/launch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace fumi::tool {

namespace {

volatile sig_atomic_t program = 0;

// What the terminal sends (SI_KERNEL) reaches the whole process group, the program too; what somebody sends
// to this process alone is passed on.
void forward(int signal, siginfo_t* info, void*) {
    if (info->si_code != SI_KERNEL && program > 0) kill(program, signal);
}

constexpr std::array<int, 8> forwarded{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH};

void set_handlers(std::array<struct sigaction, forwarded.size()>* before) {
    struct sigaction action {};
    action.sa_sigaction = forward;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    for (std::size_t i = 0; i < forwarded.size(); ++i) {
        sigaction(forwarded[i], nullptr, &(*before)[i]);
        // nohup's choice is kept: what was ignored stays ignored, here and in the program.
        if ((*before)[i].sa_handler != SIG_IGN) sigaction(forwarded[i], &action, nullptr);
    }
}

[[noreturn]] void become(const std::vector<std::string>& command,
                         const std::map<std::string, std::string>& environment, const sigset_t& mask,
                         int failure) {
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    for (const auto& [name, value] : environment)
        value.empty() ? unsetenv(name.c_str()) : setenv(name.c_str(), value.c_str(), 1);
    sigprocmask(SIG_SETMASK, &mask, nullptr);
    execvp(arguments[0], arguments.data());
    const int cause = errno;
    const ssize_t written = write(failure, &cause, sizeof cause);
    _exit(written == sizeof cause ? 127 : 126);
}

int wait_for(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Ended launch(const std::vector<std::string>& command, const std::map<std::string, std::string>& environment) {
    Ended ended;
    std::array<int, 2> failure{};
    if (pipe2(failure.data(), O_CLOEXEC) != 0) {
        ended.status = 126;
        ended.failure = std::strerror(errno);
        return ended;
    }
    const auto begin = std::chrono::steady_clock::now();
    std::array<struct sigaction, forwarded.size()> before{};
    set_handlers(&before);
    sigset_t all, mask;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all,
                &mask);  // no signal may fall between the fork and knowing whom to pass it to
    const pid_t child = fork();
    if (child == 0) become(command, environment, mask, failure[1]);
    const int fork_error = errno;
    program = child;
    sigprocmask(SIG_SETMASK, &mask, nullptr);
    close(failure[1]);
    int cause = child < 0 ? fork_error : 0;
    if (child > 0) {
        if (read(failure[0], &cause, sizeof cause) != sizeof cause) cause = 0;
        ended.status = wait_for(child);
    }
    close(failure[0]);
    program = 0;
    for (std::size_t i = 0; i < forwarded.size(); ++i) sigaction(forwarded[i], &before[i], nullptr);
    if (cause != 0) {
        ended.status = cause == ENOENT ? 127 : 126;
        ended.failure = std::strerror(cause);
    }
    ended.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return ended;
}

}  // namespace fumi::tool
