// CUPTI's functions that FuMi calls, found at run time.
#pragma once
#include <cupti.h>

namespace fumi::cupti {

struct CuptiApi {
    decltype(&::cuptiSubscribe_v2) subscribe_v2 = nullptr;  // nullptr before CUDA 13
    decltype(&::cuptiSubscribe) subscribe = nullptr;
    decltype(&::cuptiEnableCallback) enable_callback = nullptr;
    decltype(&::cuptiGetResultString) get_result_string = nullptr;
};

// The CUPTI that the process has loaded, else the one installed beside the CUDA libraries that it has loaded,
// else the loader's. nullptr where there is none.
const CuptiApi* cupti_api() noexcept;

}  // namespace fumi::cupti
