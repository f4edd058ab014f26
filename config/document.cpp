// The YAML form of a config. yaml-cpp gives every node its line and column, so every fault has one.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "config/keys.h"
#include "config/nearest.h"

namespace fumi::config {

namespace {

class Document {
  public:
    Document(std::string file, Config* config, std::vector<Fault>* faults)
        : file_(std::move(file)), config_(config), faults_(faults) {}

    void section(const YAML::Node& node, const std::string& path) {
        if (node.IsNull()) return;  // "limits:" with every line under it commented out
        if (!node.IsMap()) {
            fault(node.Mark(), (path.empty() ? "the config" : "'" + path + "'") +
                                   std::string(" must be a map of keys and values"));
            return;
        }
        std::set<std::string> seen;
        for (const auto& entry : node) {
            if (!entry.first.IsScalar()) {
                fault(entry.first.Mark(), "a key must be a name");
                continue;
            }
            const std::string name = entry.first.Scalar();
            if (!seen.insert(name).second)
                fault(entry.first.Mark(), "key '" + name + "' stands here twice");
            else
                item(entry.first, entry.second, path, name);
        }
    }

  private:
    void item(const YAML::Node& key, const YAML::Node& value, const std::string& path,
              const std::string& name) {
        const std::string dotted = path.empty() ? name : path + "." + name;
        for (const Key& known : keys())
            if (dotted == known.name) return set(known, key, value);
        const std::vector<std::string> names = names_under(path);
        if (std::find(names.begin(), names.end(), name) != names.end()) return section(value, dotted);
        unknown(key, path, name, names);
    }

    // The right name in the wrong place is the commonest mistake in a nested config: say where it belongs.
    void unknown(const YAML::Node& key, const std::string& path, const std::string& name,
                 const std::vector<std::string>& names) {
        std::string message = "unknown key '" + name + "'" + (path.empty() ? "" : " in '" + path + "'");
        for (const Key& known : keys()) {
            const std::string full = known.name;
            if (full.substr(full.rfind('.') + 1) == name)
                return fault(key.Mark(), message + "; it belongs " +
                                             (full == name ? "to the top level"
                                                           : "in '" + full.substr(0, full.find('.')) + "'"));
        }
        fault(key.Mark(), message + suggestion(name, names));
    }

    void set(const Key& key, const YAML::Node& name, const YAML::Node& node) {
        std::vector<Value> values;
        if (node.IsScalar() && !node.Scalar().empty()) {
            const Value value = at(node);
            values = key.list ? split_list(value) : std::vector<Value>{value};
        } else if (node.IsSequence() && key.list) {
            for (const auto& element : node) {
                if (!element.IsScalar())
                    return fault(element.Mark(), std::string(key.name) + ": a list of names is wanted here");
                values.push_back(at(element));
            }
        } else {
            return fault((node.IsNull() ? name : node).Mark(),
                         std::string(key.name) + (key.list ? " needs a list of names" : " needs one value"));
        }
        key.set(config_, values, faults_);
    }

    Value at(const YAML::Node& node) const { return {node.Scalar(), position(node.Mark())}; }

    Fault position(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1, ""}; }

    void fault(const YAML::Mark& mark, std::string message) {
        add_fault(position(mark), std::move(message), faults_);
    }

    std::string file_;
    Config* config_;
    std::vector<Fault>* faults_;
};

}  // namespace

namespace {

std::string scalar(const YAML::Node& node) {
    return node.IsDefined() && node.IsScalar() ? node.Scalar() : std::string();
}

// A profile comes before all other keys, wherever it stands.
Config start_of(const YAML::Node& node, const Beside& beside) {
    if (!node.IsMap()) return start(beside, "", false);
    return start(beside, scalar(node["profile"]),
                 node["modes"].IsDefined() || node["perturbation_mode"].IsDefined());
}

}  // namespace

Config parse_yaml(const std::string& text, const std::string& file, std::vector<Fault>* faults,
                  const Beside& beside) {
    Config config = start(beside, "", false);
    try {
        const YAML::Node node = YAML::Load(text);
        config = start_of(node, beside);
        Document(file, &config, faults).section(node, "");
    } catch (const YAML::Exception& exception) {
        faults->push_back(
            {file, exception.mark.line + 1, exception.mark.column + 1, "not YAML: " + exception.msg});
    }
    return config;
}

}  // namespace fumi::config
