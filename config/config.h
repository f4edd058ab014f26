// The configuration of a run: YAML schema, defaults, validation. Every field here is a key of the YAML file.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fumi::config {

enum class Mode { trace, improve_precision, repeat, checksum, add_noise, custom_function };
enum class Coverage { full, sampled };
enum class Severity { none, warn, fail };
enum class NoiseKind { ulp, relative, bits, fixed };

// The defaults of a Config are those of the profile always_on.
struct ImprovePrecision {
    Coverage coverage = Coverage::sampled;
    std::int64_t sample_rows = 64;  // sampled: a cross of rows x columns exact elements
    std::int64_t sample_columns = 64;
    std::int64_t every = 8;  // check every n-th matching call
};

// Random +-1 vectors over blocks of columns.
struct Checksum {
    std::int64_t columns = 128;  // of a block
    std::int64_t vectors = 1;    // 1 to 4
    std::int64_t every = 1;
};

struct Repeat {
    std::int64_t every = 1;
};

// add_noise: the same call on inputs moved by noise of the size of their rounding.
struct Noise {
    NoiseKind kind = NoiseKind::ulp;
    std::int64_t samples = 5;  // 2 to 30; kind fixed takes one
    double size = 0;           // of kind relative; 0: the unit roundoff of each input's type (`u`)
    std::int64_t bits = 2;     // of kind bits: how many last places
    std::int64_t seed = 1;
    std::int64_t every = 1;
};

struct Limits {
    std::int64_t scratch_bytes = 256LL << 20;  // limits.scratch: 256MiB
    double overhead = 0.03;      // limits.overhead: 3%, of the run's time (0: every chosen call is checked)
    double operations = 0.1;     // limits.operations: 10%, of the run's time (0: no budget)
    std::int64_t max_calls = 0;  // limits.calls: 0 = no limit
    double flush_seconds = 1.0;  // limits.flush: 1s
};

struct TypeLimit {
    std::string type;  // of the output, as a session names it: fp32; "": of every other
    double limit;
};

// Limits of one's own on what improve_precision measures, and the Python FuMi's: a row beside the verdict.
struct Thresholds {
    double bound = 0;                           // largest |e| / B; 0: none
    std::vector<TypeLimit> absolute, relative;  // largest |e|, largest |e| / |R|
    bool fumi = false;    // thresholds.measures: norm ratios and the largest |a - b| / |a + b|
    bool decide = false;  // what is over them fails; else it is only said
    bool any() const noexcept { return fumi || bound > 0 || !absolute.empty() || !relative.empty(); }
};

struct Config {
    std::string profile;  // quick | always_on | thorough | paranoid; "" where modes were named without one
    std::vector<Mode> modes = {Mode::trace, Mode::improve_precision,
                               Mode::checksum};  // `modes`, or FuMi's perturbation_mode; empty: off
    ImprovePrecision improve_precision;
    Checksum checksum;
    Repeat repeat;
    Thresholds thresholds;
    Noise noise;
    Limits limits;
    std::vector<std::string> apis;       // globs over torch API names, empty = all
    std::vector<std::string> functions;  // globs over library function names, empty = all
    std::string output;                  // session path; %p is the process id; default fumi-%p.fumi
    std::string output_dir;              // FuMi's key: directory of the session
    std::string layer_type;              // FuMi's key
    Severity fail_on = Severity::none;
    bool follow_fork = false;   // children of fork stay inert unless true
    bool kernel_names = true;   // subscribe to CUPTI
    bool operations = false;    // rerun torch's operations on CPU tensors in fp64, those of `apis`
    bool forward_only = false;  // not those of the backward pass; operations: forward
    bool has(Mode mode) const noexcept;
    // Whether functions that the program has decorated are compared: under every profile, and where modes are
    // named, if custom_function is one of them.
    bool compares_functions() const noexcept { return has(Mode::custom_function) || !profile.empty(); }
};

const char* name(Mode mode) noexcept;          // trace | improve_precision | ...
const char* name(Coverage coverage) noexcept;  // full | sampled
const char* name(Severity severity) noexcept;  // none | warn | fail
const char* name(NoiseKind kind) noexcept;     // ulp | relative | bits | fixed

// Where and what: "train.yaml:3:5: unknown key 'mods'; did you mean 'modes'?"
struct Fault {
    std::string file;
    int line = 0;    // from 1; 0 where the fault has no line
    int column = 0;  // from 1
    std::string message;
    std::string text() const;
};

// Reads `path` (YAML; FuMi's config.env, KEY=VALUE a line; *.txt is an API list). On any fault *faults is not
// empty and the returned Config holds the defaults for the faulty keys. Neither throws.
// What stands beside the file: a profile that takes the place of the file's, and whether modes are named.
struct Beside {
    std::string profile;
    bool modes = false;
};
Config load(const std::string& path, std::vector<Fault>* faults, const Beside& beside = {});
Config parse(const std::string& text, const std::string& file, std::vector<Fault>* faults,
             const Beside& beside = {});

// The config before any key is read: the profile named beside the file, else in it. Where neither names one:
// always_on, or, where modes are named, each mode in full on every call.
Config start(const Beside& beside, const std::string& profile_of_file, bool file_names_modes);
// Whether there is such a profile; else a fault under `file`.
bool check_profile(std::string_view name, const std::string& file, std::vector<Fault>* faults);

// The comma-separated modes of --mode and FUMI_MODE; "off" is the empty list. A name that is no mode is a
// fault under `file`, and *modes is left alone.
void parse_modes(std::string_view text, const std::string& file, std::vector<Mode>* modes,
                 std::vector<Fault>* faults);

// The config of this process: defaults, then FUMI_CONFIG (a file), FUMI_PROFILE, FUMI_MODE (comma-separated,
// as --mode), FUMI_COVERAGE, FUMI_OPERATIONS, FUMI_OUTPUT, FUMI_APIS (an API list file). Never throws. Under
// `fumi run`, which has read the same files and reported their faults (FUMI_LAUNCHED=1), *faults stays empty.
Config from_environment(std::vector<Fault>* faults);

// Where the session of process `pid` goes: output or fumi-%p.fumi, %p replaced, in output_dir unless
// absolute. Under `fumi run` a second process of the job gets NAME-PID.fumi where NAME.fumi is taken, instead
// of replacing it: the name is claimed by creating the file, so call it once, right before
// session::Writer::create.
std::string session_path(const Config& config, std::int64_t pid);

// Whether `name` is chosen by a list of globs; an empty list chooses all. For Config::apis and
// Config::functions.
bool chosen(const std::vector<std::string>& globs, const std::string& name) noexcept;

// The config as the YAML that gives it, every key present.
std::string print(const Config& config);

}  // namespace fumi::config
