// Who is told of each call. Set once, before the first hook is installed; the wrappers know nothing else of
// FuMi.
#pragma once
#include "cupti_hook/libraries/call.h"

namespace fumi::libraries {

class Observer {
  public:
    // False: the call is passed through undecoded and untold. May put another observer in its place.
    virtual bool active() noexcept = 0;
    // On the calling thread, after decoding and before the library is called.
    virtual void before(Call& call) noexcept = 0;
    // On the same thread, after the library returned `status` (cublasStatus_t). Between the two the thread
    // makes no other observed call.
    virtual void after(Call& call, int status) noexcept = 0;
    // The program resets its device or destroys a context: before that happens.
    virtual void context_ended() noexcept = 0;

  protected:
    ~Observer() = default;
};

void set_observer(Observer* observer) noexcept;
Observer* observer() noexcept;  // nullptr until set
Observer* listener() noexcept;  // the observer if it is active, else nullptr

}  // namespace fumi::libraries
