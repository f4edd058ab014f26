// The fumi command.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <string>
#include <vector>

#include "config/nearest.h"
#include "tools/fumi/check_config.h"
#include "tools/fumi/doctor.h"
#include "tools/fumi/report.h"
#include "tools/fumi/run.h"
#include "tools/fumi/stats.h"
#include "tools/fumi/text.h"

namespace fumi::tool {

namespace {

constexpr int usage_error = 2;

constexpr const char* overview_footer = R"(
Examples:
  fumi run -- python train.py                        check every cuBLAS and cuBLASLt call of a program
  fumi run -o a.fumi --fail-on fail -- python t.py   the same in CI: exit status 3 where a call is wrong
  fumi stats a.fumi --by location --format csv       the calls by the line that made them
  fumi report a.fumi -o a.html                       one page for the browser
  fumi doctor                                        what is hooked on this machine, what is not, and why

Exit status: 0 success; 1 the file or the machine has a fault; 2 a mistake on the command line or an incomplete
installation; fumi run: the program's own (128 + signal where a signal ended it, 127 not found, 126 not executable),
or 3 where --fail-on holds and the program itself succeeded.)";

constexpr const char* run_footer = R"(
Examples:
  fumi run -- python train.py
  fumi run --device soft -o gpt.fumi -- python train.py --steps 20
  fumi run --mode off --device soft -- python train.py      the baseline: nothing intercepted
  fumi run --profile thorough -- python train.py            every element of every call
  fumi run --coverage sampled --apis apis.txt -- torchrun --nproc-per-node 2 train.py

The summary goes to stderr, so that the program's output stays its own. Several processes write a file each
(NAME-PID.fumi beside NAME.fumi, or %p in the name), and each is summarised. A config with faults is reported, and the
program runs with the defaults in their place.

Exit status: the program's own (128 + signal where a signal ended it); 3 where --fail-on holds and the program itself
succeeded; 2 for a mistake on the command line, before the program is started.)";

struct Options {
    RunOptions run;
    std::string file, by = "api", format = "table", output = "report.html", config_file;
    std::string calibration = "calibration.yaml", cublas;
    bool json = false, print = false, version = false;
};

void add_run(CLI::App* app, Options* o) {
    CLI::App* run =
        app->add_subcommand("run", "run a program and check its library calls: fumi run [options] -- CMD...");
    run->add_option("-o,--output", o->run.output,
                    "session file; %p is the process id (default: fumi-%p.fumi)")
        ->type_name("FILE");
    run->add_option("-c,--config", o->run.config, "config: YAML, or FuMi's config.env")->type_name("FILE");
    run->add_option("--mode", o->run.mode,
                    "trace, improve_precision, checksum, repeat, add_noise, custom_function, off; several "
                    "with commas, each "
                    "in full on every "
                    "call unless --profile or the config says less (default: those of the profile)")
        ->type_name("M,...");
    run->add_option("--profile", o->run.profile,
                    "quick, always_on (the default), thorough, paranoid: how much is checked")
        ->type_name("P");
    run->add_option("--device", o->run.device, "auto: a GPU where there is one, else the software device")
        ->check(CLI::IsMember({"auto", "cuda", "soft"}))
        ->capture_default_str();
    run->add_option("--apis", o->run.apis, "only these torch APIs: a list, one name or glob a line")
        ->type_name("FILE");
    run->add_option("--calibration", o->run.calibration, "constants of this device, by fumi calibrate")
        ->type_name("FILE");
    run->add_option("--coverage", o->run.coverage, "how much of each result is checked")
        ->check(CLI::IsMember({"full", "sampled"}));
    run->add_option(
           "--operations", o->run.operations,
           "on: torch's own operations on CPU tensors too, rerun in fp64 (--apis says which); forward: not "
           "those of the backward pass")
        ->check(CLI::IsMember({"off", "on", "forward"}));
    run->add_option("--fail-on", o->run.fail_on,
                    "exit with status 3 where a call got this verdict or a worse one")
        ->check(CLI::IsMember({"none", "warn", "fail"}));
    run->add_flag("-q,--quiet", o->run.quiet, "no summary");
    run->footer(run_footer);
}

void add_readers(CLI::App* app, Options* o) {
    CLI::App* stats = app->add_subcommand("stats", "the calls of a session in groups");
    stats->add_option("FILE", o->file, "session file")->required();
    stats->add_option("--by", o->by, "what to group by")
        ->check(CLI::IsMember({"api", "op", "function", "kernel", "location", "module", "dtypes"}))
        ->capture_default_str();
    stats->add_option("--format", o->format, "table, json, csv or tsv")
        ->check(CLI::IsMember({"table", "json", "csv", "tsv"}))
        ->capture_default_str();
    stats->footer(
        "\nFails come first, then warns, then the most frequent. worst_* are those of one check: the worst "
        "verdict, then the\n"
        "largest share of its bound; errors and bounds are in units of the call's unit roundoff.\n\n"
        "Examples:\n  fumi stats a.fumi --by location\n  fumi stats a.fumi --format json | jq '.[] | "
        "select(.fail > 0)'");

    CLI::App* report = app->add_subcommand("report", "one self-contained HTML page of a session");
    report->add_option("FILE", o->file, "session file")->required();
    report->add_option("-o,--output", o->output, "the page")->capture_default_str()->type_name("FILE");
    report->footer("\nExample:\n  fumi report a.fumi -o a.html");
}

void add_helpers(CLI::App* app, Options* o) {
    CLI::App* calibrate = app->add_subcommand(
        "calibrate", "measure how this device adds up products, by small designed GEMMs through cuBLAS");
    calibrate->add_option("-o,--output", o->calibration, "the calibration")
        ->capture_default_str()
        ->type_name("FILE");
    calibrate->add_option("--device", o->run.device, "auto, cuda or soft, as for fumi run")
        ->check(CLI::IsMember({"auto", "cuda", "soft"}))
        ->capture_default_str();
    calibrate->add_option("--cublas", o->cublas, "path of libcublas, where the loader does not find it");
    calibrate->footer(
        "\nA run that is given the file uses its constants in place of the table of docs/numerics.md and "
        "keeps them "
        "with the\nsession.\n\nExample:\n  fumi calibrate -o h100.yaml && fumi run --calibration h100.yaml "
        "-- python "
        "train.py");

    CLI::App* doctor = app->add_subcommand(
        "doctor", "what is hooked here, what is not, and why: fumi doctor [--json] [-- CMD...]");
    doctor->add_flag("--json", o->json, "for programs");
    doctor->footer(
        "\nWith a command after --, it is run once in trace mode, and what was intercepted is listed.\n"
        "Exit status 1 where something is missing that `fumi run` needs.\n\nExamples:\n  fumi doctor\n  fumi "
        "doctor -- python -c "
        "'import torch; torch.ones(2, 2).cuda() @ torch.ones(2, 2).cuda()'");

    CLI::App* check =
        app->add_subcommand("check-config", "says each fault of a config with its line and column");
    check->add_option("FILE", o->config_file, "YAML, FuMi's config.env, or an API list (*.txt)")->required();
    check->add_flag("--print", o->print, "print the whole effective config");
    check->footer(
        "\nExit status 1 where the file has faults.\n\nExample:\n  fumi check-config train.yaml --print");
}

// CLI11 calls an unknown command an unexpected argument; say what it is, and what was meant.
bool unknown_command(const CLI::App& app, const std::vector<std::string>& arguments) {
    if (arguments.empty() || arguments[0].starts_with("-")) return false;
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(command->get_name());
    if (std::find(names.begin(), names.end(), arguments[0]) != names.end()) return false;
    say("there is no command '" + arguments[0] + "'" + config::suggestion(arguments[0], names));
    return true;
}

int dispatch(const CLI::App& app, const Options& o, bool has_command) {
    const std::string name = app.get_subcommands()[0]->get_name();
    if (name == "run") {
        if (!o.run.command.empty()) return run(o.run);
        say("what shall be run? Put it after --: fumi run -- python train.py");
        return usage_error;
    }
    if (has_command && name != "doctor") {
        say("fumi " + name + " takes no command after --");
        return usage_error;
    }
    if (name == "stats") return stats(o.file, o.by, o.format);
    if (name == "report") return report(o.file, o.output);
    if (name == "calibrate") return calibrate(o.run.device, o.calibration, o.cublas);
    if (name == "doctor") return doctor(o.json, o.run.command);
    return check_config(o.config_file, o.print);
}

int usage(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& arguments) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    const bool extras = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
    if (!extras) say(error.what());
    if (extras && (arguments[0] == "run" || arguments[0] == "doctor"))
        say("the program and its arguments go after --: fumi " + arguments[0] + " [options] -- CMD...");
    else
        say(std::string(extras ? "there are arguments too many; " : "") + "see `fumi " +
            (arguments.empty() ? std::string() : arguments[0] + " ") + "--help`");
    return usage_error;
}

}  // namespace

int command(std::vector<std::string> arguments) {
    Options options;
    CLI::App app("Checks the numerical results of GPU libraries in unmodified PyTorch programs.", "fumi");
    app.set_version_flag("--version", "fumi " FUMI_VERSION);
    app.require_subcommand(1);
    app.footer(overview_footer);
    add_run(&app, &options);
    add_readers(&app, &options);
    add_helpers(&app, &options);

    // The program's arguments are its own: what follows the first -- is never parsed.
    const auto separator = std::find(arguments.begin(), arguments.end(), "--");
    const bool has_command = separator != arguments.end();
    if (has_command) options.run.command.assign(separator + 1, arguments.end());
    arguments.erase(separator, arguments.end());
    if (unknown_command(app, arguments)) return usage_error;
    if (arguments.empty()) {
        fmt::print("{}", app.help());
        return usage_error;
    }
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
    try {
        app.parse(reversed);
    } catch (const CLI::ParseError& error) {
        return usage(app, error, arguments);
    }
    return dispatch(app, options, has_command);
}

}  // namespace fumi::tool

int main(int argc, char** argv) {
    try {
        return fumi::tool::command({argv + 1, argv + argc});
    } catch (const std::exception& exception) {
        fumi::tool::say(exception.what());
        return 1;
    }
}
