// SOFTCUDA_REAL_CUDNN(cudnnGetX): the real library's function, looked up once; null where there is none.
#pragma once
#include "tools/softcuda/dnn/real.h"

#define SOFTCUDA_REAL_CUDNN(name)                                                                            \
    ([]() noexcept {                                                                                         \
        static const auto function = ::softcuda::dnn::real<std::remove_pointer_t<decltype(&::name)>>(#name); \
        return function;                                                                                     \
    }())
