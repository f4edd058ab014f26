#include "tools/fumi/run.h"

#include <fmt/format.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <map>

#include "config/api_list.h"
#include "config/config.h"
#include "cupti_hook/session/fold.h"
#include "tools/fumi/files.h"
#include "tools/fumi/launch.h"
#include "tools/fumi/layout.h"
#include "tools/fumi/probe.h"
#include "tools/fumi/summary.h"
#include "tools/fumi/text.h"

namespace fumi::tool {

namespace fs = std::filesystem;

namespace {

using Environment = std::map<std::string, std::string>;
constexpr int usage_error = 2;
constexpr int verdict_error = 3;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : value;
}

std::string absolute(const std::string& path) {
    std::error_code code;
    return path.empty() ? path : fs::absolute(path, code).lexically_normal().string();
}

// Faults of a file do not stop the program: it runs with the defaults for the faulty keys, as it does where
// the hook alone is given the file. Faults of the options do.
struct Plan {
    config::Config config;
    bool off = false;
    std::string output;  // absolute, with %p
};

void report(const std::vector<config::Fault>& faults, const std::string& consequence) {
    for (const config::Fault& fault : faults) say(fault.text());
    if (!faults.empty()) say(consequence);
}

bool make_plan(const RunOptions& options, Plan* plan) {
    std::vector<config::Fault> faults;
    config::Beside beside{options.profile.empty() ? variable("FUMI_PROFILE") : options.profile, false};
    if (!options.profile.empty() && !config::check_profile(options.profile, "--profile", &faults)) {
        say(faults[0].text());
        return false;
    }
    const std::string file = options.config.empty() ? variable("FUMI_CONFIG") : options.config;
    if (!file.empty()) plan->config = config::load(file, &faults, beside);
    const std::string apis = options.apis.empty() ? variable("FUMI_APIS") : options.apis;
    if (!apis.empty()) plan->config.apis = config::load_api_list(apis, &faults);
    report(faults, "the program runs with the defaults in place of what is wrong there");

    std::vector<config::Fault> mistakes;
    const bool from_option = !options.mode.empty();
    const std::string mode = from_option ? options.mode : variable("FUMI_MODE");
    if (!mode.empty())
        config::parse_modes(mode, from_option ? "--mode" : "FUMI_MODE", &plan->config.modes, &mistakes);
    for (const config::Fault& mistake : mistakes) say(mistake.text());
    if (!mistakes.empty()) return false;

    const std::string operations =
        options.operations.empty() ? variable("FUMI_OPERATIONS") : options.operations;
    if (!operations.empty()) plan->config.operations = operations != "off";
    plan->off = plan->config.modes.empty();
    if (!options.fail_on.empty())
        plan->config.fail_on = options.fail_on == "fail"   ? config::Severity::fail
                               : options.fail_on == "warn" ? config::Severity::warn
                                                           : config::Severity::none;
    const std::string output = options.output.empty() ? variable("FUMI_OUTPUT") : options.output;
    if (!output.empty()) {
        plan->output = absolute(output);
    } else {
        const std::string name = plan->config.output.empty() ? "fumi-%p.fumi" : plan->config.output;
        plan->output = absolute((fs::path(plan->config.output_dir) / name).string());
    }
    return true;
}

// Chooses the device and says which; false where what was asked for cannot be had.
bool choose_device(const RunOptions& options, Environment* environment) {
    bool soft = options.device == "soft";
    if (options.device == "auto") {
        const Driver driver = probe_driver();
        soft = driver.devices == 0;
        say(soft ? "device: softcuda, the software device (" + driver.obstacle + ")"
                 : "device: " + driver.device);
    } else if (options.device == "cuda") {
        if (const Driver driver = probe_driver(); driver.devices == 0)
            say("--device cuda: " + driver.obstacle +
                "; the program runs without a device (--device soft has one in software)");
    }
    if (!soft) return true;
    const std::string library = find_library(soft_library);
    if (library.empty()) {
        say(fmt::format(
            "{} is not found in {}: the installation is incomplete; `fumi doctor` shows what is there",
            soft_library, fmt::join(library_directories(), " or ")));
        return false;
    }
    (*environment)["LD_PRELOAD"] = library;
    return true;
}

// In a sanitizer build the program under test has no sanitizer of its own, so the runtime must come before
// all else, and libstdc++ must be there when it looks for the throw that it wraps.
std::string sanitizer_libraries() {
    std::string runtime = variable("FUMI_SANITIZER_RUNTIME");
#ifdef FUMI_SANITIZER_RUNTIME
    if (runtime.empty()) runtime = FUMI_SANITIZER_RUNTIME;
    if (!runtime.empty()) runtime += ":libstdc++.so.6";
#endif
    return runtime;
}

void complete_preload(Environment* environment) {
    std::string preload;
    const auto found = environment->find("LD_PRELOAD");
    for (const std::string& part : {sanitizer_libraries(), variable("LD_PRELOAD"),
                                    found == environment->end() ? std::string() : found->second}) {
        if (part.empty()) continue;
        preload += (preload.empty() ? "" : ":") + part;
    }
    if (!preload.empty()) (*environment)["LD_PRELOAD"] = preload;
#ifdef FUMI_SANITIZER_RUNTIME
    // Python and torch never free what they keep to the end.
    if (variable("ASAN_OPTIONS").empty()) (*environment)["ASAN_OPTIONS"] = "detect_leaks=0";
#endif
}

bool inject(const RunOptions& options, const Plan& plan, Environment* environment) {
    const std::string hook = find_library(hook_library);
    if (hook.empty()) {
        say(fmt::format(
            "{} is not found in {}: the installation is incomplete; `fumi doctor` shows what is there",
            hook_library, fmt::join(library_directories(), " or ")));
        return false;
    }
    if (const std::string other = variable("CUDA_INJECTION64_PATH"); !other.empty() && other != hook)
        say("CUDA_INJECTION64_PATH was " + other + "; FuMi takes its place for this run");
    Environment& env = *environment;
    // A LibTorch program has no Python to start FuMi at `import torch`, and may never initialise CUDA.
    if (plan.config.operations) env["LD_PRELOAD"] += (env["LD_PRELOAD"].empty() ? "" : ":") + hook;
    env["CUDA_INJECTION64_PATH"] = hook;
    env["FUMI_LAUNCHED"] = "1";
    env["FUMI_OUTPUT"] = plan.output;
    if (!options.config.empty()) env["FUMI_CONFIG"] = absolute(options.config);
    if (!options.mode.empty()) env["FUMI_MODE"] = options.mode;
    if (!options.profile.empty()) env["FUMI_PROFILE"] = options.profile;
    if (!options.apis.empty()) env["FUMI_APIS"] = absolute(options.apis);
    if (!options.operations.empty()) env["FUMI_OPERATIONS"] = options.operations;
    if (!options.coverage.empty()) env["FUMI_COVERAGE"] = options.coverage;
    if (!options.calibration.empty()) env["FUMI_CALIBRATION"] = absolute(options.calibration);
    return true;
}

struct Outcome {
    session::Counts counts;
    int sessions = 0;
};

Outcome summarise(const RunOptions& options, const Plan& plan, std::timespec begin, double seconds) {
    Outcome outcome;
    const Painter paint(stderr);
    for (const std::string& file : session_files(plan.output, begin)) {
        if (is_empty_file(file)) continue;
        session::fold_log(file);
        std::string error;
        const auto reader = session::Reader::open(file, &error);
        if (reader == nullptr) {
            say(error);
            continue;
        }
        const session::Counts counts = reader->counts();
        outcome.counts.checked += counts.checked;
        outcome.counts.warn += counts.warn;
        outcome.counts.fail += counts.fail;
        ++outcome.sessions;
        if (!options.quiet) fmt::print(stderr, "\n{}", summary(*reader, seconds, paint));
    }
    return outcome;
}

// The status of --fail-on, or 0.
int judge(const Plan& plan, const Outcome& outcome) {
    if (plan.config.fail_on == config::Severity::none) return 0;
    const char* asked = config::name(plan.config.fail_on);
    if (outcome.counts.checked == 0)
        say(fmt::format("--fail-on {}: nothing was checked, so nothing could fail", asked));
    const bool warns = plan.config.fail_on == config::Severity::warn;
    const std::int64_t bad = outcome.counts.fail + (warns ? outcome.counts.warn : 0);
    if (bad == 0) return 0;
    say(fmt::format("exit status {}: {} with the verdict fail{} (--fail-on {})", verdict_error,
                    plural(bad, "call"), warns ? " or warn" : "", asked));
    return verdict_error;
}

}  // namespace

int run(const RunOptions& options) {
    Plan plan;
    Environment environment;
    if (!make_plan(options, &plan) || !choose_device(options, &environment)) return usage_error;
    if (plan.off) {
        environment["FUMI_MODE"] = "off";  // for functions that the program compares
    } else {
        if (!inject(options, plan, &environment)) return usage_error;
        if (plan.output.find("%p") == std::string::npos)
            if (const std::string obstacle = clear_old_session(plan.output); !obstacle.empty()) {
                say(obstacle);
                return usage_error;
            }
    }
    complete_preload(&environment);

    std::timespec begin{};
    static_cast<void>(std::timespec_get(&begin, TIME_UTC));
    const Ended ended = launch(options.command, environment);
    if (!ended.failure.empty()) {
        say(fmt::format("{} cannot be started: {}", options.command[0], ended.failure));
        return ended.status;
    }
    if (plan.off) return ended.status;
    const Outcome outcome = summarise(options, plan, begin, ended.seconds);
    if (outcome.sessions == 0)
        say("no session was written: the program did not initialise CUDA, or could not write " + plan.output +
            (plan.config.operations ? "; operations are seen where the program links torch, or its Python "
                                      "has fumi-cuda installed"
                                    : ""));
    const int verdict = judge(plan, outcome);
    return ended.status == 0 ? verdict : ended.status;
}

int calibrate(const std::string& device, const std::string& output, const std::string& cublas) {
    RunOptions options;
    options.mode = "off";
    options.device = device;
    options.quiet = true;
    options.command = {(fs::path(executable_path()).parent_path() / "fumi_calibrate").string(), "-o", output};
    if (!cublas.empty()) options.command.insert(options.command.end(), {"--cublas", cublas});
    const int status = run(options);
    if (status == 0) say("wrote " + output);
    return status;
}

}  // namespace fumi::tool
