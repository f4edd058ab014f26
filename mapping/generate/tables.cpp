// Build tool: reads mapping/tables/*.yaml and writes the three sources compiled from them.
//   fumi_tables OPS.inc PYTHON_APIS.inc API_NAMES.h TABLE.yaml...
#include <yaml-cpp/yaml.h>

#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Tables {
    std::map<std::string, std::string> op_to_api;    // aten::addmm -> torch.addmm
    std::map<std::string, std::string> op_to_bound;  // aten::addmm -> product, 1, true
    std::set<std::string> python_apis;
    std::map<std::string, std::string> name_to_canonical;  // torch.Tensor.addmm, aten::addmm -> torch.addmm
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

// "elementwise 4 own" -> "elementwise, 4, true, false": the rest of the op's row in ops.inc.
std::string bound_of(const std::string& file, const YAML::Node& row, bool library) {
    std::istringstream words(row["bound"] ? row["bound"].as<std::string>() : "unwatched");
    std::string bound, factor = "1", own;
    words >> bound;
    while (words >> own && own != "own") {
        factor = own;
    }
    if (factor.find_first_not_of("0123456789") != std::string::npos) {
        fail(file, row["bound"], "'" + factor + "' is not a whole number");
    }
    return bound + ", " + factor + (own == "own" ? ", true" : ", false") + (library ? ", true" : ", false");
}

void read_keys(const std::string& file, const YAML::Node& row) {
    for (const auto& field : row) {
        const auto key = field.first.as<std::string>();
        if (key != "api" && key != "ops" && key != "aliases" && key != "bound" && key != "python") {
            fail(file, field.first, "unknown key '" + key + "'; known: api, ops, aliases, bound, python");
        }
    }
}

void read_api(const std::string& file, const YAML::Node& row, bool library, Tables& tables) {
    read_keys(file, row);
    if (!row["api"]) {
        fail(file, row, "no 'api'");
    }
    const auto api = row["api"].as<std::string>();
    const bool python = row["python"] && row["python"].as<bool>();
    if (python) {
        tables.python_apis.insert(api);
    } else if (!row["ops"] || row["ops"].size() == 0) {
        fail(file, row, api + " has no ops");
    }
    for (const auto& op : row["ops"]) {
        auto name = op.as<std::string>();
        if (name.find("::") == std::string::npos) {
            name.insert(0, "aten::");
        }
        add(tables.op_to_api, name, api, file, op);
        add(tables.name_to_canonical, name, api, file, op);
        tables.op_to_bound[name] = bound_of(file, row, library);
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
    const bool library = !root["library"] || root["library"].as<bool>();
    for (const auto& entry : root["apis"]) {
        read_api(file, entry, library, tables);
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

std::string operation_rows(const Tables& tables) {
    std::string text;
    for (const auto& [op, api] : tables.op_to_api) {
        text.append("    {\"").append(op).append("\", \"").append(api).append("\", ");
        text.append(tables.op_to_bound.at(op)).append("},\n");
    }
    return text;
}

std::string python_rows(const Tables& tables) {
    std::string text;
    for (const std::string& api : tables.python_apis) {
        text.append("    \"").append(api).append("\",\n");
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
    if (argc < 5) {
        std::cerr << "usage: fumi_tables OPS.inc PYTHON_APIS.inc API_NAMES.h TABLE.yaml...\n";
        return 2;
    }
    try {
        Tables tables;
        for (int i = 4; i < argc; ++i) {
            read_table(argv[i], tables);
        }
        write(argv[1], "// Generated from mapping/tables: struct Operation of each op, sorted by op.\n" +
                           operation_rows(tables));
        write(argv[2], python_rows(tables));
        write(argv[3], api_names_header(tables));
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "fumi_tables: " << error.what() << "\n";
        return 1;
    }
}
