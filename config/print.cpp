#include <sstream>

#include "config/config.h"
#include "config/values.h"

namespace fumi::config {

namespace {

std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') result += '\\';
        result += c;
    }
    return result + "\"";
}

void print_list(std::ostream& out, const char* key, const std::vector<std::string>& names) {
    out << key << ": [";
    for (std::size_t i = 0; i < names.size(); ++i) out << (i > 0 ? ", " : "") << quoted(names[i]);
    out << "]\n";
}

void print_limits(std::ostream& out, const char* key, const std::vector<TypeLimit>& limits) {
    out << "  " << key << ": [";
    for (std::size_t i = 0; i < limits.size(); ++i)
        out << (i > 0 ? ", " : "") << limits[i].type << (limits[i].type.empty() ? "" : "=")
            << print_number(limits[i].limit);
    out << "]\n";
}

void print_thresholds(std::ostream& out, const Thresholds& thresholds) {
    out << "thresholds:\n  bound: " << print_number(thresholds.bound) << "\n";
    print_limits(out, "absolute", thresholds.absolute);
    print_limits(out, "relative", thresholds.relative);
    out << "  measures: " << (thresholds.fumi ? "fumi" : "none")
        << "\n  decide: " << (thresholds.decide ? "true" : "false") << "\n";
}

}  // namespace

std::string print(const Config& config) {
    std::ostringstream out;
    if (!config.profile.empty()) out << "profile: " << config.profile << "\n";
    out << "modes: [";
    for (std::size_t i = 0; i < config.modes.size(); ++i) out << (i > 0 ? ", " : "") << name(config.modes[i]);
    out << (config.modes.empty() ? "off]\n" : "]\n");
    const ImprovePrecision& improve = config.improve_precision;
    out << "improve_precision:\n  coverage: " << name(improve.coverage)
        << "\n  sample_rows: " << improve.sample_rows << "\n  sample_columns: " << improve.sample_columns
        << "\n  every: " << improve.every << "\n";
    out << "checksum:\n  columns: " << config.checksum.columns << "\n  vectors: " << config.checksum.vectors
        << "\n  every: " << config.checksum.every << "\n";
    out << "repeat:\n  every: " << config.repeat.every << "\n";
    print_thresholds(out, config.thresholds);
    const Noise& noise = config.noise;
    out << "noise:\n  kind: " << name(noise.kind) << "\n  samples: " << noise.samples
        << "\n  size: " << (noise.size == 0 ? "u" : print_number(noise.size)) << "\n  bits: " << noise.bits
        << "\n  seed: " << noise.seed << "\n  every: " << noise.every << "\n";
    const Limits& limits = config.limits;
    out << "limits:\n  scratch: " << print_size(limits.scratch_bytes)
        << "\n  overhead: " << print_share(limits.overhead)
        << "\n  operations: " << print_share(limits.operations) << "\n  calls: " << limits.max_calls
        << "\n  flush: " << print_duration(limits.flush_seconds) << "\n";
    print_list(out, "apis", config.apis);
    print_list(out, "functions", config.functions);
    out << "output: " << quoted(config.output.empty() ? "fumi-%p.fumi" : config.output) << "\n";
    if (!config.output_dir.empty()) out << "output_dir: " << quoted(config.output_dir) << "\n";
    if (!config.layer_type.empty()) out << "layer_type: " << config.layer_type << "\n";
    out << "operations: " << (!config.operations ? "off" : config.forward_only ? "forward" : "on") << "\n";
    out << "fail_on: " << name(config.fail_on) << "\nfollow_fork: " << (config.follow_fork ? "true" : "false")
        << "\nkernel_names: " << (config.kernel_names ? "true" : "false") << "\n";
    return out.str();
}

}  // namespace fumi::config
