#include "cupti_hook/rerun/rnn_copies.h"

#include <algorithm>
#include <bit>
#include <new>

#include "cupti_hook/rerun/capture.h"
#include "cupti_hook/rerun/dnn_checker.h"
#include "kernels/contract.h"

namespace fumi::rerun {

namespace {

using libraries::DnnCall;
using libraries::DnnOperation;
using libraries::DnnRole;
using libraries::DnnTensor;

constexpr std::size_t smallest_block = std::size_t{64} << 10;

const void* data(const DnnCall& call, DnnRole role) noexcept {
    const DnnTensor* const tensor = call.find(role);
    return tensor == nullptr ? nullptr : tensor->data;
}

// Of a tensor without gaps, as sequences, states and weight spaces are.
std::size_t bytes_of(const DnnTensor* tensor) noexcept {
    if (tensor == nullptr || tensor->data == nullptr) return 0;
    std::int64_t count = element_bytes(tensor->type);
    for (std::int32_t i = 0; i < tensor->rank; ++i) count *= tensor->size[i];
    return count < 0 ? 0 : static_cast<std::size_t>(count);
}

constexpr std::size_t round_to_256(std::size_t bytes) noexcept {
    return (bytes + 255) & ~std::size_t{255};
}

bool drops(const DnnCall& call) noexcept {
    return call.rnn.dropout > 0 && call.rnn.layers > 1;
}

bool copy(const DnnPlace& place, CUstream stream, CUdeviceptr to, const void* from,
          std::size_t bytes) noexcept {
    return place.driver.memcpy_dtod_async(to, reinterpret_cast<CUdeviceptr>(from), bytes, stream) ==
           CUDA_SUCCESS;
}

}  // namespace

RnnCopies::Network* RnnCopies::network_of(CUcontext context, const void* y) noexcept {
    const auto found = std::find_if(networks_.begin(), networks_.end(), [&](const Network& network) {
        return network.context == context && network.y == y;
    });
    return found == networks_.end() ? nullptr : &*found;
}

// The memory of a captured network is written by every replay of its graph, and is never given to another.
void RnnCopies::release(const Network& network) {
    if (network.capture != 0) return;
    for (const Block& block : {network.x, network.gradients})
        if (block.base != 0) free_.push_back({network.context, network.stream, block});
}

void RnnCopies::forget(CUcontext context, const void* y) {
    networks_.remove_if([&](const Network& network) {
        if (network.context != context || network.y != y) return false;
        release(network);
        return true;
    });
}

// The oldest network that no other stream has a hand in, one whose gradients are done before one that still
// waits for them.
bool RnnCopies::make_room(const DnnPlace& place, CUstream stream) {
    for (const bool is_done : {true, false}) {
        const auto found = std::find_if(networks_.begin(), networks_.end(), [&](const Network& network) {
            return network.context == place.context && network.stream == stream && network.capture == 0 &&
                   network.is_done == is_done && !network.is_busy;
        });
        if (found == networks_.end()) continue;
        release(*found);
        networks_.erase(found);
        return true;
    }
    return false;
}

// A free block of this stream, new memory, or what an older network had.
RnnCopies::Block RnnCopies::take(const DnnPlace& place, CUstream stream, std::size_t bytes) {
    const std::size_t size = std::bit_ceil(std::max(bytes, smallest_block));
    do {
        const auto found = std::find_if(free_.begin(), free_.end(), [&](const Free& free) {
            return place.capture == 0 && free.context == place.context && free.stream == stream &&
                   free.block.size == size;
        });
        if (found != free_.end()) {
            const Block block = found->block;
            free_.erase(found);
            return block;
        }
        const RelaxedCapture relaxed(place.driver);
        if (const CUdeviceptr base = scratch_.take(place.driver, size)) return {base, size};
    } while (make_room(place, stream));
    return {};
}

void RnnCopies::keep_input(const DnnPlace& place, const libraries::Call& call) noexcept try {
    const DnnCall& dnn = *call.dnn;
    if (dnn.operation != DnnOperation::rnn_forward) return;
    const std::lock_guard lock(mutex_);
    const void* const y = data(dnn, DnnRole::y);
    forget(place.context, y);  // what had y before is over
    if (!dnn.rnn.training || drops(dnn)) return;
    Network network;
    network.context = place.context;
    network.stream = call.stream;
    network.capture = place.capture;
    network.y = y;
    network.x_bytes = bytes_of(dnn.find(DnnRole::x));
    network.weight_bytes = dnn.rnn.weight_bytes;
    network.x = take(place, call.stream, network.x_bytes);
    if (network.x.base == 0 ||
        !copy(place, call.stream, network.x.base, data(dnn, DnnRole::x), network.x_bytes))
        return;
    network.copies.x = reinterpret_cast<const void*>(network.x.base);
    networks_.push_back(network);
} catch (const std::bad_alloc&) {
    return;
}

// All in one block, one behind the other.
const char* RnnCopies::keep_gradients(const DnnPlace& place, const libraries::Call& call, Network& network) {
    struct Part {
        DnnRole role;
        const void** copy;
    };
    RnnLayout& copies = network.copies;
    const Part parts[] = {{DnnRole::weights, &copies.weights},
                          {DnnRole::cx, &copies.cx},
                          {DnnRole::dy, &copies.dy},
                          {DnnRole::dhy, &copies.dhy},
                          {DnnRole::dcy, &copies.dcy}};
    std::size_t total = 0;
    for (const Part& part : parts) total += round_to_256(bytes_of(call.dnn->find(part.role)));
    if (network.gradients.size < total) {
        network.is_busy = true;  // not this one, if there must be room
        const Block block = take(place, call.stream, total);
        if (block.base == 0) return "no device memory for copies of the gradients within limits.scratch";
        if (network.gradients.base != 0 && network.capture == 0)
            free_.push_back({network.context, call.stream, network.gradients});
        network.gradients = block;
    }
    CUdeviceptr next = network.gradients.base;
    for (const Part& part : parts) {
        const std::size_t bytes = bytes_of(call.dnn->find(part.role));
        *part.copy = nullptr;
        if (bytes == 0) continue;
        if (!copy(place, call.stream, next, data(*call.dnn, part.role), bytes)) {
            copies.weights = nullptr;
            return "what the gradient of the weights will need could not be copied";
        }
        *part.copy = reinterpret_cast<const void*>(next);
        next += round_to_256(bytes);
    }
    return nullptr;
}

const char* RnnCopies::find(const DnnPlace& place, const libraries::Call& call, RnnLayout& layout) noexcept
    try {
    const DnnCall& dnn = *call.dnn;
    const bool is_data = dnn.operation == DnnOperation::rnn_backward_data;
    if (!is_data && dnn.operation != DnnOperation::rnn_backward_weights) return nullptr;
    if (drops(dnn)) return "dropout: which elements it dropped is not visible";
    const std::lock_guard lock(mutex_);
    Network* const network = network_of(place.context, data(dnn, DnnRole::y));
    if (network == nullptr)
        return "the forward call of this network was not watched, or the copy of its x had to make room";
    // Another network by now that happens to have its y where this one had it?
    if (network->x_bytes != bytes_of(dnn.find(is_data ? DnnRole::dx : DnnRole::x)) ||
        network->weight_bytes != dnn.rnn.weight_bytes)
        return "the forward call of this network was not watched";
    if ((network->capture != 0) != (place.capture != 0))
        return "of this network's calls some were captured and some were not";
    network->stream = call.stream;
    if (is_data) {
        if (const char* reason = keep_gradients(place, call, *network)) return reason;
    } else if (network->copies.weights == nullptr) {
        return "the backward call before this one was not watched";
    }
    network->is_busy = true;
    const RnnLayout& copies = network->copies;
    layout.x = copies.x;
    layout.weights = copies.weights;
    layout.cx = copies.cx;
    layout.dy = copies.dy;
    layout.dhy = copies.dhy;
    layout.dcy = copies.dcy;
    return nullptr;
} catch (const std::bad_alloc&) {
    return "out of memory";
}

void RnnCopies::used(const libraries::Call& call) noexcept {
    const DnnOperation operation = call.dnn->operation;
    if (operation != DnnOperation::rnn_backward_data && operation != DnnOperation::rnn_backward_weights)
        return;
    const std::lock_guard lock(mutex_);
    for (Network& network : networks_) {
        if (network.stream != call.stream || network.y != data(*call.dnn, DnnRole::y)) continue;
        network.is_busy = false;
        network.is_done = operation == DnnOperation::rnn_backward_weights;
    }
}

}  // namespace fumi::rerun
