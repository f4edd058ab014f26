// The wrapper of a cuDNN function that computes: as for cuBLAS (wrapper.h), with cuDNN's status.
#pragma once
#include <cudnn.h>

#include "cupti_hook/libraries/cudnn_call.h"
#include "cupti_hook/libraries/wrapper.h"

// FUMI_CUDNN_TAG(function, decoder): decoder is a function (template) called with the call and the arguments.
#define FUMI_CUDNN_TAG(function, decoder)                                                 \
    struct function##_tag {                                                               \
        static constexpr const char* name = #function;                                    \
        static constexpr cudnnStatus_t unavailable = CUDNN_STATUS_NOT_INITIALIZED;        \
        template <class... Args>                                                          \
        static void decode(::fumi::libraries::Call& call, const Args&... args) noexcept { \
            decoder(call, args...);                                                       \
        }                                                                                 \
    };
