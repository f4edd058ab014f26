#include "config/keys.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "config/api_list.h"
#include "config/nearest.h"
#include "config/values.h"

namespace fumi::config {

void add_fault(const Fault& where, std::string message, std::vector<Fault>* faults) {
    Fault fault = where;
    fault.message = std::move(message);
    faults->push_back(std::move(fault));
}

namespace {

using Values = std::vector<Value>;
using Faults = std::vector<Fault>;

// The word that a choice key takes, as its place in `words`; -1 with a fault where it is none of them.
int choice(const Value& value, const char* key, const std::vector<std::string>& words, Faults* faults) {
    const auto found = std::find(words.begin(), words.end(), value.text);
    if (found != words.end()) return static_cast<int>(found - words.begin());
    add_fault(
        value.where,
        std::string(key) + ": '" + value.text + "' is not a value of it" + suggestion(value.text, words),
        faults);
    return -1;
}

template <typename Target, typename Parsed>
void assign(Target* target, const Parsed& parsed, const Value& value, const char* key, const char* form,
            Faults* faults) {
    if (parsed)
        *target = static_cast<Target>(*parsed);
    else
        add_fault(value.where, std::string(key) + ": '" + value.text + "' is not " + form, faults);
}

void count(std::int64_t* target, const Value& value, const char* key, std::int64_t least, Faults* faults) {
    auto parsed = parse_integer(value.text);
    if (parsed && *parsed < least) parsed.reset();
    assign(target, parsed, value, key, least == 0 ? "a whole number, 0 or more" : "a whole number, 1 or more",
           faults);
}

void set_modes(Config* config, const Values& values, Faults* faults) {
    std::vector<Mode> modes;
    const std::size_t before = faults->size();
    for (const Value& value : values) {
        if (value.text == "off" && values.size() == 1) break;
        if (value.text == "off") {
            add_fault(value.where, "mode 'off' stands alone: with it nothing is intercepted", faults);
            continue;
        }
        const int mode = choice(
            value, "mode",
            {"trace", "improve_precision", "repeat", "checksum", "add_noise", "custom_function", "off"},
            faults);
        if (mode >= 0 && std::find(modes.begin(), modes.end(), static_cast<Mode>(mode)) == modes.end())
            modes.push_back(static_cast<Mode>(mode));
    }
    if (faults->size() == before) config->modes = std::move(modes);
}

// FuMi's own key names one mode; the call is traced along with it.
void set_perturbation_mode(Config* config, const Values& values, Faults* faults) {
    Config asked;
    const std::size_t before = faults->size();
    set_modes(&asked, values, faults);
    if (faults->size() != before) return;
    config->modes = std::move(asked.modes);
    if (!config->modes.empty() && !config->has(Mode::trace))
        config->modes.insert(config->modes.begin(), Mode::trace);
}

void set_apis(Config* config, const Values& values, Faults* faults) {
    const std::string suffix = ".txt";
    if (values.size() == 1 && values[0].text.ends_with(suffix)) {
        // A list file, beside the config that names it.
        const std::filesystem::path list(values[0].text);
        const auto directory = std::filesystem::path(values[0].where.file).parent_path();
        const std::string path = list.is_absolute() ? list.string() : (directory / list).string();
        std::error_code code;
        if (std::filesystem::exists(path, code))
            config->apis = load_api_list(path, faults);
        else
            add_fault(values[0].where, "apis: there is no file " + path, faults);
        return;
    }
    config->apis.clear();
    for (const Value& value : values) {
        for (std::string& api : canonical_apis(value.text, value.where, faults)) {
            config->apis.push_back(std::move(api));
        }
    }
}

void set_functions(Config* config, const Values& values, Faults* faults) {
    config->functions.clear();
    for (const Value& value : values) {
        if (value.text.empty() || value.text.find_first_of(" \t/") != std::string::npos)
            add_fault(value.where,
                      "functions: '" + value.text + "' is not a function name or glob, such as cublas*gemm*",
                      faults);
        else
            config->functions.push_back(value.text);
    }
}

// One number for every type of output, or TYPE=NUMBER.
void set_limits(std::vector<TypeLimit>* limits, const Values& values, const char* key, Faults* faults) {
    static const std::vector<std::string> types = {"fp64",      "fp32",      "fp16",      "bf16",
                                                   "e4m3",      "e5m2",      "int8",      "int32",
                                                   "complex32", "complex64", "complex128"};
    limits->clear();
    for (const Value& value : values) {
        const std::size_t equals = value.text.find('=');
        Value type = value, number = value;
        type.text = equals == std::string::npos ? "" : value.text.substr(0, equals);
        if (equals != std::string::npos) number.text = value.text.substr(equals + 1);
        if (!type.text.empty() && choice(type, key, types, faults) < 0) continue;
        double limit = -1;
        assign(&limit, parse_number(number.text), number, key, "a number such as 1e-5, 0 or more", faults);
        if (limit >= 0) limits->push_back({type.text, limit});
    }
}

void set_operations(Config* config, const std::string& word) {
    config->operations = word != "off";
    config->forward_only = word == "forward";
}

void set_layer_type(Config* config, const Values& values, Faults* faults) {
    const Value& value = values[0];
    if (value.text == "check")
        config->layer_type = value.text;
    else
        add_fault(value.where, "layer_type: '" + value.text + "' is not there yet: this version has check",
                  faults);
}

}  // namespace

const std::vector<Key>& keys() {
    static const std::vector<Key> table = {
        {"modes", true, set_modes},
        {"perturbation_mode", false, set_perturbation_mode},
        {"improve_precision.coverage", false,
         [](Config* c, const Values& v, Faults* f) {
             const int word = choice(v[0], "coverage", {"full", "sampled"}, f);
             if (word >= 0) c->improve_precision.coverage = static_cast<Coverage>(word);
         }},
        {"improve_precision.sample_rows", false,
         [](Config* c, const Values& v, Faults* f) {
             count(&c->improve_precision.sample_rows, v[0], "sample_rows", 1, f);
         }},
        {"improve_precision.sample_columns", false,
         [](Config* c, const Values& v, Faults* f) {
             count(&c->improve_precision.sample_columns, v[0], "sample_columns", 1, f);
         }},
        {"improve_precision.every", false,
         [](Config* c, const Values& v, Faults* f) {
             count(&c->improve_precision.every, v[0], "every", 1, f);
         }},
        {"profile", false,
         // Its values were set before the first key.
         [](Config*, const Values& v, Faults* f) {
             choice(v[0], "profile", {"quick", "always_on", "thorough", "paranoid"}, f);
         }},
        {"checksum.columns", false,
         [](Config* c, const Values& v, Faults* f) { count(&c->checksum.columns, v[0], "columns", 1, f); }},
        {"checksum.vectors", false,
         [](Config* c, const Values& v, Faults* f) {
             auto parsed = parse_integer(v[0].text);
             if (parsed && (*parsed < 1 || *parsed > 4)) parsed.reset();
             assign(&c->checksum.vectors, parsed, v[0], "vectors", "a whole number, 1 to 4", f);
         }},
        {"checksum.every", false,
         [](Config* c, const Values& v, Faults* f) { count(&c->checksum.every, v[0], "every", 1, f); }},
        {"repeat.every", false,
         [](Config* c, const Values& v, Faults* f) { count(&c->repeat.every, v[0], "every", 1, f); }},
        {"thresholds.bound", false,
         [](Config* c, const Values& v, Faults* f) {
             assign(&c->thresholds.bound, parse_number(v[0].text), v[0], "bound",
                    "a number such as 0.5, 0 or more", f);
         }},
        {"thresholds.absolute", true,
         [](Config* c, const Values& v, Faults* f) {
             set_limits(&c->thresholds.absolute, v, "absolute", f);
         }},
        {"thresholds.relative", true,
         [](Config* c, const Values& v, Faults* f) {
             set_limits(&c->thresholds.relative, v, "relative", f);
         }},
        {"thresholds.measures", false,
         [](Config* c, const Values& v, Faults* f) {
             const int word = choice(v[0], "measures", {"none", "fumi"}, f);
             if (word >= 0) c->thresholds.fumi = word == 1;
         }},
        {"thresholds.decide", false,
         [](Config* c, const Values& v, Faults* f) {
             assign(&c->thresholds.decide, parse_bool(v[0].text), v[0], "decide", "true or false", f);
         }},
        {"noise.kind", false,
         [](Config* c, const Values& v, Faults* f) {
             const int word = choice(v[0], "kind", {"ulp", "relative", "bits", "fixed"}, f);
             if (word >= 0) c->noise.kind = static_cast<NoiseKind>(word);
         }},
        {"noise.samples", false,
         [](Config* c, const Values& v, Faults* f) {
             auto parsed = parse_integer(v[0].text);
             if (parsed && (*parsed < 2 || *parsed > 30)) parsed.reset();
             assign(&c->noise.samples, parsed, v[0], "samples", "a whole number, 2 to 30", f);
         }},
        {"noise.size", false,
         [](Config* c, const Values& v, Faults* f) {
             auto parsed = v[0].text == "u" ? std::optional(0.0) : parse_number(v[0].text);
             if (parsed && v[0].text != "u" && (*parsed <= 0 || *parsed >= 1)) parsed.reset();
             assign(&c->noise.size, parsed, v[0], "size",
                    "u (the unit roundoff of the type) or a number such as 1e-6, above 0 and below 1", f);
         }},
        {"noise.bits", false,
         [](Config* c, const Values& v, Faults* f) { count(&c->noise.bits, v[0], "bits", 1, f); }},
        {"noise.seed", false,
         [](Config* c, const Values& v, Faults* f) { count(&c->noise.seed, v[0], "seed", 0, f); }},
        {"noise.every", false,
         [](Config* c, const Values& v, Faults* f) { count(&c->noise.every, v[0], "every", 1, f); }},
        {"limits.scratch", false,
         [](Config* c, const Values& v, Faults* f) {
             assign(&c->limits.scratch_bytes, parse_size(v[0].text), v[0], "scratch", "a size such as 256MiB",
                    f);
         }},
        {"limits.overhead", false,
         [](Config* c, const Values& v, Faults* f) {
             assign(&c->limits.overhead, parse_share(v[0].text), v[0], "overhead", "a share such as 3%", f);
         }},
        {"limits.operations", false,
         [](Config* c, const Values& v, Faults* f) {
             assign(&c->limits.operations, parse_share(v[0].text), v[0], "operations", "a share such as 10%",
                    f);
         }},
        {"limits.calls", false,
         [](Config* c, const Values& v, Faults* f) { count(&c->limits.max_calls, v[0], "calls", 0, f); }},
        {"limits.flush", false,
         [](Config* c, const Values& v, Faults* f) {
             assign(&c->limits.flush_seconds, parse_duration(v[0].text), v[0], "flush",
                    "a duration such as 500ms or 1s", f);
         }},
        {"apis", true, set_apis},
        {"functions", true, set_functions},
        {"output", false, [](Config* c, const Values& v, Faults*) { c->output = v[0].text; }},
        {"output_dir", false, [](Config* c, const Values& v, Faults*) { c->output_dir = v[0].text; }},
        {"layer_type", false, set_layer_type},
        {"operations", false,
         [](Config* c, const Values& v, Faults* f) {
             const int word = choice(v[0], "operations", {"off", "on", "forward"}, f);
             if (word >= 0) set_operations(c, v[0].text);
         }},
        {"fail_on", false,
         [](Config* c, const Values& v, Faults* f) {
             const int word = choice(v[0], "fail_on", {"none", "warn", "fail"}, f);
             if (word >= 0) c->fail_on = static_cast<Severity>(word);
         }},
        {"follow_fork", false,
         [](Config* c, const Values& v, Faults* f) {
             assign(&c->follow_fork, parse_bool(v[0].text), v[0], "follow_fork", "true or false", f);
         }},
        {"kernel_names", false,
         [](Config* c, const Values& v, Faults* f) {
             assign(&c->kernel_names, parse_bool(v[0].text), v[0], "kernel_names", "true or false", f);
         }},
    };
    return table;
}

std::vector<std::string> names_under(const std::string& section) {
    std::vector<std::string> names;
    const std::string prefix = section.empty() ? "" : section + ".";
    for (const Key& key : keys()) {
        const std::string name = key.name;
        if (!name.starts_with(prefix)) continue;
        const std::string rest = name.substr(prefix.size());
        const std::string first = rest.substr(0, rest.find('.'));
        if (std::find(names.begin(), names.end(), first) == names.end()) names.push_back(first);
    }
    return names;
}

std::vector<Value> split_list(const Value& value) {
    std::vector<Value> parts;
    std::size_t begin = 0;
    while (begin <= value.text.size()) {
        const std::size_t end = std::min(value.text.find(',', begin), value.text.size());
        const std::size_t first = value.text.find_first_not_of(" \t", begin);
        if (first < end) {
            Value part;
            part.text = value.text.substr(first, end - first);
            part.text.resize(part.text.find_last_not_of(" \t") + 1);
            part.where = value.where;
            if (part.where.line > 0) part.where.column += static_cast<int>(first);
            parts.push_back(std::move(part));
        }
        begin = end + 1;
    }
    return parts;
}

void parse_modes(std::string_view text, const std::string& file, std::vector<Mode>* modes,
                 std::vector<Fault>* faults) {
    Config config;
    config.modes = *modes;
    const Value value{std::string(text), {file, 0, 0, ""}};
    const std::vector<Value> values = split_list(value);
    if (values.empty())
        add_fault(value.where,
                  "no mode is named; the modes are trace, improve_precision, repeat, checksum, add_noise, "
                  "custom_function and off",
                  faults);
    else
        set_modes(&config, values, faults);
    *modes = std::move(config.modes);
}

}  // namespace fumi::config
