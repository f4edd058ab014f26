// FuMi's config.env: KEY=VALUE a line, # starts a comment, an "export" before it and quotes around it
// allowed.
#include <algorithm>
#include <cctype>
#include <sstream>

#include "config/keys.h"
#include "config/nearest.h"

namespace fumi::config {

namespace {

void read_line(const std::string& line, Fault where, Config* config, std::vector<Fault>* faults) {
    std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos || line[begin] == '#') return;
    if (line.compare(begin, 7, "export ") == 0) begin = line.find_first_not_of(" \t", begin + 7);
    where.column = static_cast<int>(begin) + 1;
    const std::size_t equals = line.find('=', begin);
    if (equals == std::string::npos) return add_fault(where, "not KEY=VALUE", faults);

    std::string name;
    for (std::size_t i = begin; i < equals; ++i)
        if (std::isspace(static_cast<unsigned char>(line[i])) == 0)
            name += static_cast<char>(std::tolower(static_cast<unsigned char>(line[i])));
    std::size_t first = line.find_first_not_of(" \t\r", equals + 1);
    std::size_t end = line.size();
    if (first != std::string::npos && (line[first] == '"' || line[first] == '\'')) {
        end = line.find(line[first], first + 1);
        if (end == std::string::npos) return add_fault(where, "the quote is not closed", faults);
        ++first;
    } else if (first != std::string::npos) {
        end = std::min(line.find(" #", first), line.size());
    }
    Value value;
    value.where = where;
    if (first != std::string::npos) {
        value.text = line.substr(first, end - first);
        value.text.resize(value.text.find_last_not_of(" \t\r") + 1);
        value.where.column = static_cast<int>(first) + 1;
    }
    if (value.text.empty()) return add_fault(where, name + " needs a value", faults);

    std::vector<std::string> known;
    for (const Key& key : keys()) {
        if (name == key.name)
            return key.set(config, key.list ? split_list(value) : std::vector<Value>{value}, faults);
        known.emplace_back(key.name);
    }
    add_fault(where, "unknown key '" + name + "'" + suggestion(name, known), faults);
}

}  // namespace

Config parse_env_file(const std::string& text, const std::string& file, std::vector<Fault>* faults,
                      const Beside& beside) {
    std::string lower = text;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    Config config = start(beside, "", lower.find("perturbation_mode") != std::string::npos);
    std::istringstream lines(text);
    int number = 0;
    for (std::string line; std::getline(lines, line);)
        read_line(line, {file, ++number, 1, ""}, &config, faults);
    return config;
}

}  // namespace fumi::config
