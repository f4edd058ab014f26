// operator new that counts: for tests of what must not ask for memory.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace fumi::test {
std::atomic<std::size_t> allocations{0};
}

void* operator new(std::size_t bytes) {
    ++fumi::test::allocations;
    if (void* memory = std::malloc(bytes)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
