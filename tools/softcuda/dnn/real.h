// The functions of NVIDIA's libcudnn that need no device.
#pragma once
namespace softcuda::dnn {

// The real function of that name; null, said once on stderr, where libcudnn cannot be found.
void* real_cudnn(const char* name) noexcept;

template <class Function>
Function* real(const char* name) noexcept {
    return reinterpret_cast<Function*>(real_cudnn(name));
}

}  // namespace softcuda::dnn
