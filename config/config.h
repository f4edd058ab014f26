// The configuration of a run: YAML schema, defaults, validation. Every field here is a key of the YAML file.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace fumi::config {

enum class Mode { trace, improve_precision };  // issue 5 adds add_noise, repeat, checksum, custom_function
enum class Coverage { full, sampled };
enum class Severity { none, warn, fail };

struct ImprovePrecision {
    Coverage coverage = Coverage::full;
    std::int64_t sample_rows = 64;     // sampled: a cross of rows x columns exact elements
    std::int64_t sample_columns = 64;
    std::int64_t every = 1;            // check every n-th matching call
};

struct Limits {
    std::int64_t scratch_bytes = 256LL << 20;  // limits.scratch: 256MiB
    double overhead = 0;                       // limits.overhead: 3%  (0: no budget, every chosen call is checked)
    std::int64_t max_calls = 0;                // limits.calls: 0 = no limit
    double flush_seconds = 1.0;                // limits.flush: 1s
};

struct Config {
    std::vector<Mode> modes = {Mode::trace, Mode::improve_precision};  // `modes`, or FuMi's perturbation_mode
    ImprovePrecision improve_precision;
    Limits limits;
    std::vector<std::string> apis;       // globs over torch API names, empty = all
    std::vector<std::string> functions;  // globs over library function names, empty = all
    std::string output;                  // session path; %p is the process id; default fumi-%p.fumi
    std::string output_dir;              // FuMi's key: directory of the session
    std::string layer_type;              // FuMi's key
    Severity fail_on = Severity::none;
    bool follow_fork = false;            // children of fork stay inert unless true
    bool kernel_names = true;            // subscribe to CUPTI
    bool has(Mode mode) const noexcept;
};

// Where and what: "train.yaml:3:5: unknown key 'mods'; did you mean 'modes'?"
struct Fault {
    std::string file;
    int line = 0;    // from 1; 0 where the fault has no line
    int column = 0;  // from 1
    std::string message;
    std::string text() const;
};

// Reads `path` (YAML; FuMi's config.env, KEY=VALUE a line; *.txt is an API list). On any fault *faults is not empty and
// the returned Config holds the defaults for the faulty keys.
Config load(const std::string& path, std::vector<Fault>* faults);
Config parse(const std::string& text, const std::string& file, std::vector<Fault>* faults);

// The config of this process: defaults, then FUMI_CONFIG (a file), FUMI_OUTPUT, FUMI_MODE (comma-separated, as --mode),
// FUMI_APIS (an API list file). Never throws.
Config from_environment(std::vector<Fault>* faults);

}  // namespace fumi::config
