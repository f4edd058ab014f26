// Linked into a test program: it runs with the tensor-core model. Before main, since the device reads its
// settings once.
#include <cstdlib>

namespace {
const int chosen = setenv("SOFTCUDA_NUMERICS", "tensorcore", 1);
}
