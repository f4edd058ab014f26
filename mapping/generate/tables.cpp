// Build tool: reads mapping/tables/*.yaml and writes the two sources compiled from them.
//   fumi_tables OPS.inc API_NAMES.h TABLE.yaml...
#include <yaml-cpp/yaml.h>

#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Tables {
    std::map<std::string, std::string> op_to_api;          // aten::addmm -> torch.addmm
    std::map<std::string, std::string> name_to_canonical;  // torch.Tensor.addmm -> torch.addmm, and itself
};

[[noreturn]] void fail(const std::string& file, const YAML::Node& node, const std::string& what) {
    const YAML::Mark mark = node.Mark();
    throw std::runtime_error(file + ":" + std::to_string(mark.line + 1) + ":" +
                             std::to_string(mark.column + 1) + ": " + what);
}

void add(std::map<std::string, std::string>& map, const std::string& key, const std::string& value,
         const std::string& file, const YAML::Node& where) {
    const auto [place, fresh] = map.emplace(key, value);
    if (!fresh && place->second != value) {
        fail(file, where, key + " already belongs to " + place->second);
    }
}

void read_api(const std::string& file, const YAML::Node& row, Tables& tables) {
    for (const auto& field : row) {
        const auto key = field.first.as<std::string>();
        if (key != "api" && key != "ops" && key != "aliases") {
            fail(file, field.first, "unknown key '" + key + "'; known: api, ops, aliases");
        }
    }
    if (!row["api"]) {
        fail(file, row, "no 'api'");
    }
    const auto api = row["api"].as<std::string>();
    if (!row["ops"] || row["ops"].size() == 0) {
        fail(file, row, api + " has no ops");
    }
    for (const auto& op : row["ops"]) {
        auto name = op.as<std::string>();
        if (name.find("::") == std::string::npos) {
            name.insert(0, "aten::");
        }
        add(tables.op_to_api, name, api, file, op);
    }
    add(tables.name_to_canonical, api, api, file, row);
    for (const auto& alias : row["aliases"]) {
        add(tables.name_to_canonical, alias.as<std::string>(), api, file, alias);
    }
}

void read_table(const std::string& file, Tables& tables) {
    const YAML::Node root = YAML::LoadFile(file);
    if (!root["apis"] || !root["apis"].IsSequence()) {
        fail(file, root, "no list 'apis'");
    }
    for (const auto& entry : root["apis"]) {
        read_api(file, entry, tables);
    }
}

void write(const std::string& path, const std::string& text) {
    std::ofstream out(path);
    out << text;
    out.close();
    if (!out) {
        throw std::runtime_error("cannot write " + path);
    }
}

std::string rows(const std::map<std::string, std::string>& map) {
    std::string text;
    for (const auto& [key, value] : map) {
        text.append("    {\"").append(key).append("\", \"").append(value).append("\"},\n");
    }
    return text;
}

std::string api_names_header(const Tables& tables) {
    return "// Generated from mapping/tables. The torch API names that a configuration may use.\n"
           "#pragma once\n\n"
           "namespace fumi::mapping {\n\n"
           "// name: any public name; canonical: the name that sessions use for it. Sorted by name.\n"
           "struct ApiName {\n    const char* name;\n    const char* canonical;\n};\n\n"
           "inline constexpr ApiName api_names[] = {\n" +
           rows(tables.name_to_canonical) + "};\n\n}  // namespace fumi::mapping\n";
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::cerr << "usage: fumi_tables OPS.inc API_NAMES.h TABLE.yaml...\n";
        return 2;
    }
    try {
        Tables tables;
        for (int i = 3; i < argc; ++i) {
            read_table(argv[i], tables);
        }
        write(argv[1], "// Generated from mapping/tables: {aten op, torch API}, sorted by op.\n" +
                           rows(tables.op_to_api));
        write(argv[2], api_names_header(tables));
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "fumi_tables: " << error.what() << "\n";
        return 1;
    }
}
