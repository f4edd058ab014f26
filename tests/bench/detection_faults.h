// The faults that are planted in a product.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tests/bench/detection_product.h"

namespace fumi::bench {

// An element of C that a fault changed.
struct Change {
    std::int64_t index;
    float value;
};
using Changes = std::vector<Change>;

struct Fault {
    std::string name;
    std::function<Changes(const Product&, std::mt19937_64&)> plant;
    bool whole = false;        // most elements change
    bool one_element = false;  // trials in which the error hides in legal rounding are counted apart
    bool sure = false;         // FuMi's exact check finds it always
};

Fault no_fault();
std::vector<Fault> faults_for(const Operands& operands);
// For every bit position: of one element of C, of all in a 16 x 8 fragment of C, of one element of A as the
// kernel read it, and of the sum of one element halfway.
std::vector<Fault> bit_faults_for(const Operands& operands);

}  // namespace fumi::bench
