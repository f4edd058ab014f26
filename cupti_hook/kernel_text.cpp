#include "cupti_hook/kernel_text.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string_view>
#include <unordered_map>

namespace fumi {

namespace {

// Where the parameters of a demangled function begin: at the first parenthesis that is not within <>.
std::size_t parameters_of(std::string_view text) noexcept {
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        depth += text[i] == '<' ? 1 : text[i] == '>' ? -1 : 0;
        if (text[i] == '(' && depth == 0) return i;
    }
    return text.size();
}

std::string demangled(const char* name) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> text(
        abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
    if (status != 0 || text == nullptr) return name;
    std::string_view rest(text.get());
    if (rest.starts_with("void ")) rest.remove_prefix(5);
    return std::string(rest.substr(0, parameters_of(rest)));
}

}  // namespace

const std::string& kernel_text(const char* name) {
    static auto& known = *new std::unordered_map<const char*, std::string>;
    const auto found = known.find(name);
    return found != known.end() ? found->second : known.emplace(name, demangled(name)).first->second;
}

}  // namespace fumi
