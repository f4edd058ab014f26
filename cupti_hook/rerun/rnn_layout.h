// Where the matrices of a recurrent network lie in its weight space, and what else its problem needs that the
// call itself does not say.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <tuple>

#include "cupti_hook/libraries/call.h"
#include "cupti_hook/libraries/cudnn_call.h"
#include "kernels/dnn_problem.h"

namespace fumi::rerun {

struct RnnLayout {
    RnnWeights of[kMostRnnLayers];
    // Sequences of different lengths: the next two must be put on the device (ragged_places).
    bool ragged = false;
    const void* lengths = nullptr;       // int32 on the device
    const void* step_offsets = nullptr;  // int64 on the device, of packed sequences
    // Copies from the calls before this one: a backward call is not given them (rnn_copies.h).
    const void* x = nullptr;
    const void* weights = nullptr;
    const void* cx = nullptr;
    const void* dy = nullptr;
    const void* dhy = nullptr;
    const void* dcy = nullptr;
};

const char* make_rnn(const libraries::DnnCall& call, const RnnLayout* layout, RnnProblem& problem) noexcept;

// The lengths of a ragged call's sequences, and where the steps of packed ones begin, as the problem wants
// them on the device: `bytes` of them, step offsets first.
struct RaggedPlaces {
    const void* host = nullptr;  // memory of the calling thread; nullptr where there is none
    std::size_t bytes = 0, lengths_offset = 0;
    bool is_packed = false;
};
RaggedPlaces ragged_places(const libraries::DnnCall& call) noexcept;

// Where cuDNN says the weights lie, asked once for each kind of network. Any thread.
class RnnLayouts {
  public:
    // Returns why there is none, or nullptr; does nothing for calls of other kinds.
    const char* find(const libraries::Call& call, RnnLayout& layout) noexcept;

  private:
    struct Weights {
        const char* reason = nullptr;
        RnnWeights of[kMostRnnLayers];
    };
    using Key = std::tuple<int, int, int, int, int, int, int, int, std::size_t>;
    const Weights& weights_of(const libraries::Call& call);

    std::mutex mutex_;
    std::map<Key, Weights> weights_;
};

}  // namespace fumi::rerun
