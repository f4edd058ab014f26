// The file that SOFTCUDA_FAULTS names.
#pragma once
#include <map>

#include "tools/softcuda/blas/faults.h"

namespace softcuda::faults {

struct Rule {
    std::string function;         // glob over library function names
    std::string operation = "*";  // glob over what the call does, of functions that stand for several
    std::map<char, std::int64_t> dimensions;  // of m, n, k, b (batch) those that must be equal
    std::uint64_t nth = 0, every = 0;         // one of them is set, counted from 1
    Plan plan;                                // kind, seed and arguments
};

// Throws std::runtime_error with "file:line:column: what is wrong" where the file is not right.
std::vector<Rule> read_rules(const std::string& path);

// True where `name` matches `pattern`: * for any run of characters, ? for one.
bool matches_glob(const char* pattern, const char* name) noexcept;

}  // namespace softcuda::faults
