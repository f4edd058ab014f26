#include "tools/softcuda/blas/faults_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <stdexcept>

namespace softcuda::faults {
namespace {

class Reader {
  public:
    explicit Reader(const std::string& path) : path_(path) {}

    [[noreturn]] void fail(const YAML::Mark& mark, const std::string& what) const {
        throw std::runtime_error(path_ + ":" + std::to_string(mark.line + 1) + ":" +
                                 std::to_string(mark.column + 1) + ": " + what);
    }

    template <class T>
    T number(const YAML::Node& node, const std::string& key) const {
        try {
            return node.as<T>();
        } catch (const YAML::Exception&) {
            fail(node.Mark(),
                 key + " must be a number, not '" + (node.IsScalar() ? node.Scalar() : "a collection") + "'");
        }
    }
    std::int64_t at_least(const YAML::Node& node, const std::string& key, std::int64_t least) const {
        const auto value = number<std::int64_t>(node, key);
        if (value < least) fail(node.Mark(), key + " must be at least " + std::to_string(least));
        return value;
    }
    std::string text(const YAML::Node& node, const std::string& key) const {
        if (!node.IsScalar()) fail(node.Mark(), key + " must be a string");
        return node.Scalar();
    }
    [[noreturn]] void unknown(const YAML::Node& node, const std::string& what, const std::string& name,
                              const std::vector<std::string>& known) const {
        fail(node.Mark(),
             "unknown " + what + " '" + name + "'; did you mean '" + nearest(name, known) + "'?");
    }

  private:
    static std::size_t distance(const std::string& a, const std::string& b) {
        std::vector<std::size_t> row(b.size() + 1);
        for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
        for (std::size_t i = 1; i <= a.size(); ++i) {
            std::size_t diagonal = row[0];
            row[0] = i;
            for (std::size_t j = 1; j <= b.size(); ++j) {
                const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
            }
        }
        return row.back();
    }
    static std::string nearest(const std::string& name, const std::vector<std::string>& known) {
        return *std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
            return distance(name, a) < distance(name, b);
        });
    }

    std::string path_;
};

std::vector<std::string> kind_names() {
    std::vector<std::string> names;
    for (int kind = 0; kind <= static_cast<int>(Kind::nondeterministic); ++kind)
        names.emplace_back(name_of(static_cast<Kind>(kind)));
    return names;
}

// The arguments that a kind takes.
std::vector<std::string> arguments_of(Kind kind) {
    switch (kind) {
        case Kind::one_element:
            return {"size"};
        case Kind::bit_flip:
            return {"bit"};
        case Kind::drop_k:
            return {"k"};
        case Kind::zero_tile:
            return {"rows", "cols"};
        case Kind::nondeterministic:
            return {"parts"};
        default:
            return {};
    }
}

void read_arguments(const Reader& reader, const YAML::Node& node, Plan& plan) {
    if (!node.IsMap()) reader.fail(node.Mark(), "args must be a map");
    const auto known = arguments_of(plan.kind);
    for (const auto& entry : node) {
        const auto key = reader.text(entry.first, "a key");
        if (known.empty())
            reader.fail(entry.first.Mark(), std::string(name_of(plan.kind)) + " takes no args");
        if (std::find(known.begin(), known.end(), key) == known.end())
            reader.unknown(entry.first, "argument", key, known);
        const YAML::Node& value = entry.second;
        if (key == "size") {
            plan.size = reader.number<double>(value, key);
            if (!(*plan.size > 0)) reader.fail(value.Mark(), "size must be positive");
        }
        if (key == "bit") plan.bit = reader.at_least(value, key, 0);
        if (key == "k") plan.k = reader.at_least(value, key, 0);
        if (key == "rows") plan.rows = reader.at_least(value, key, 1);
        if (key == "cols") plan.cols = reader.at_least(value, key, 1);
        if (key == "parts") plan.parts = reader.at_least(value, key, 2);
    }
}

// "m=64,n=*,k=32": a dimension left out, or *, may be anything.
std::map<char, std::int64_t> read_shape(const Reader& reader, const YAML::Node& node) {
    std::map<char, std::int64_t> dimensions;
    std::string text = reader.text(node, "shape");
    std::erase(text, ' ');
    std::size_t begin = 0;
    while (begin < text.size()) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        const std::string part = text.substr(begin, end - begin);
        const std::size_t equals = part.find('=');
        const std::string name = part.substr(0, equals);
        const std::string value = equals == std::string::npos ? "" : part.substr(equals + 1);
        static const std::vector<std::string> known = {"m", "n", "k", "batch"};
        if (std::find(known.begin(), known.end(), name) == known.end())
            reader.unknown(node, "dimension", name, known);
        if (value != "*") {
            const bool number = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
            if (!number || value.size() > 18) {
                std::string wanted = "shape wants ";
                wanted.append(name).append("=NUMBER or ").append(name).append("=*, not '").append(part);
                reader.fail(node.Mark(), wanted.append("'"));
            }
            dimensions[name[0]] = std::stoll(value);
        }
        begin = end + 1;
    }
    return dimensions;
}

Rule read_rule(const Reader& reader, const YAML::Node& node) {
    if (!node.IsMap()) reader.fail(node.Mark(), "a fault must be a map with function and kind");
    static const std::vector<std::string> known = {"function", "kind", "nth",  "every",
                                                   "shape",    "seed", "args", "operation"};
    for (const auto& entry : node) {
        const auto key = reader.text(entry.first, "a key");
        if (std::find(known.begin(), known.end(), key) == known.end())
            reader.unknown(entry.first, "key", key, known);
    }
    for (const char* needed : {"function", "kind"})
        if (!node[needed]) reader.fail(node.Mark(), std::string("the fault has no ") + needed);
    Rule rule;
    rule.function = reader.text(node["function"], "function");
    if (node["operation"]) rule.operation = reader.text(node["operation"], "operation");
    const auto kind = reader.text(node["kind"], "kind");
    if (const auto named = kind_named(kind))
        rule.plan.kind = *named;
    else
        reader.unknown(node["kind"], "kind", kind, kind_names());
    if (node["nth"] && node["every"]) reader.fail(node["every"].Mark(), "nth and every exclude one another");
    if (node["nth"]) rule.nth = static_cast<std::uint64_t>(reader.at_least(node["nth"], "nth", 1));
    if (node["every"]) rule.every = static_cast<std::uint64_t>(reader.at_least(node["every"], "every", 1));
    if (rule.nth == 0 && rule.every == 0) rule.every = 1;
    if (node["shape"]) rule.dimensions = read_shape(reader, node["shape"]);
    if (node["seed"]) rule.plan.seed = static_cast<std::uint64_t>(reader.at_least(node["seed"], "seed", 0));
    if (node["args"]) read_arguments(reader, node["args"], rule.plan);
    return rule;
}

}  // namespace

std::vector<Rule> read_rules(const std::string& path) {
    const Reader reader(path);
    YAML::Node root;
    try {
        root = YAML::LoadFile(path);
    } catch (const YAML::BadFile&) {
        throw std::runtime_error(path + ": the file cannot be read");
    } catch (const YAML::Exception& error) {
        reader.fail(error.mark, error.msg);
    }
    if (!root.IsMap() || !root["faults"] || !root["faults"].IsSequence())
        reader.fail(root.Mark(), "the file must have a list called faults");
    for (const auto& entry : root)
        if (entry.first.Scalar() != "faults")
            reader.unknown(entry.first, "key", entry.first.Scalar(), {"faults"});
    std::vector<Rule> rules;
    for (const auto& node : root["faults"]) rules.push_back(read_rule(reader, node));
    return rules;
}

// Greedy with one step back: on a mismatch the last * takes one character more.
bool matches_glob(const char* pattern, const char* name) noexcept {
    const char *star = nullptr, *resume = nullptr;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = name;
        } else if (*pattern == '?' || *pattern == *name) {
            ++pattern;
            ++name;
        } else if (star != nullptr) {
            pattern = star + 1;
            name = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') ++pattern;
    return *pattern == '\0';
}

}  // namespace softcuda::faults
