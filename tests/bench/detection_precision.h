#pragma once
#include <random>

namespace fumi::bench {

// Names the precision of so many products among fp32, TF32, bf16x1, bf16x3 and fp16 accumulation, five
// distributions, K from 64 to 2048. Exit status 1 where fewer than 99% are named rightly.
int name_precisions(int calls, std::mt19937_64& g);

}  // namespace fumi::bench
