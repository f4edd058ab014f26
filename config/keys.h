// The keys of a config, one table for all its forms. Not for users of config.
#pragma once
#include <string>
#include <vector>

#include "config/config.h"

namespace fumi::config {

struct Value {
    std::string text;
    Fault where;  // its position; the message is empty
};

struct Key {
    const char* name;  // dotted: limits.scratch
    bool list;         // takes several values
    void (*set)(Config* config, const std::vector<Value>& values, std::vector<Fault>* faults);
};

const std::vector<Key>& keys();

// Names under a section ("" or "limits"), sections included: what may stand there.
std::vector<std::string> names_under(const std::string& section);

Config parse_yaml(const std::string& text, const std::string& file, std::vector<Fault>* faults,
                  const Beside& beside);
Config parse_env_file(const std::string& text, const std::string& file, std::vector<Fault>* faults,
                      const Beside& beside);

// "a, b,c" as the values a, b and c, each at its own column.
std::vector<Value> split_list(const Value& value);

void add_fault(const Fault& where, std::string message, std::vector<Fault>* faults);

}  // namespace fumi::config
