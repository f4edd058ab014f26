// What the gradients of a recurrent network depend on and their calls are not given: copies in device memory
// of FuMi's own, taken when an earlier call had it. Torch hands temporary tensors to cuDNN, whose memory is
// somebody else's a call later.
//
//   cudnnRNNForward              had x                             for backward data
//   cudnnRNNBackwardData_v8      had the weights, cx, dy, dhy, dcy  for backward weights
//
// The calls of one network are known by their y, which all three are given and which must live from the first
// to the last. Copies are made and read on the calls' own streams, in their order.
#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <vector>

#include "cupti_hook/libraries/call.h"
#include "cupti_hook/libraries/cudnn_call.h"
#include "cupti_hook/rerun/rnn_layout.h"
#include "cupti_hook/rerun/scratch.h"

namespace fumi::rerun {

struct DnnPlace;  // dnn_checker.h

class RnnCopies {
  public:
    explicit RnnCopies(Scratch& scratch) noexcept : scratch_(scratch) {}

    // Before a call that computes a gradient: points the layout at the copies. Returns why there are none, or
    // nullptr; does nothing for calls of other kinds. Any thread.
    const char* find(const DnnPlace& place, const libraries::Call& call, RnnLayout& layout) noexcept;
    // After the check of such a call was enqueued: what nobody needs any more may be reused.
    void used(const libraries::Call& call) noexcept;
    // Before a call that computes a forward pass for training: copies what backward data will need. Without
    // memory for it there is no copy, and find() says so then.
    void keep_input(const DnnPlace& place, const libraries::Call& call) noexcept;

  private:
    struct Block {
        CUdeviceptr base = 0;
        std::size_t size = 0;
    };
    // A network between its forward call and its last gradient.
    struct Network {
        CUcontext context = nullptr;
        CUstream stream = nullptr;  // of the call that used it last
        std::uint64_t capture = 0;
        const void* y = nullptr;
        std::size_t x_bytes = 0, weight_bytes = 0;
        Block x, gradients;
        RnnLayout copies;      // pointers into the blocks; null where there is none
        bool is_busy = false;  // a check of it is being enqueued
        bool is_done = false;
    };
    struct Free {
        CUcontext context;
        CUstream stream;
        Block block;
    };

    Network* network_of(CUcontext context, const void* y) noexcept;
    const char* keep_gradients(const DnnPlace& place, const libraries::Call& call, Network& network);
    Block take(const DnnPlace& place, CUstream stream, std::size_t bytes);
    bool make_room(const DnnPlace& place, CUstream stream);
    void release(const Network& network);
    void forget(CUcontext context, const void* y);

    Scratch& scratch_;
    std::mutex mutex_;
    std::list<Network> networks_;  // the oldest first
    std::vector<Free> free_;
};

}  // namespace fumi::rerun
