// The device images (kernels/CMakeLists.txt numbers them) and which kernel lies in which.
#include "kernels/dnn_params.h"
#include "kernels/mode_params.h"
#include "kernels/precision.h"

#define FUMI_DECLARE_IMAGE(n)                                \
    extern "C" const unsigned char fumi_image_##n##_begin[]; \
    extern "C" const unsigned char fumi_image_##n##_end[];
FUMI_DEVICE_IMAGES(FUMI_DECLARE_IMAGE)
#undef FUMI_DECLARE_IMAGE

namespace fumi {

std::span<const DeviceImage> device_images() noexcept {
#define FUMI_IMAGE(n) \
    {fumi_image_##n##_begin, static_cast<std::size_t>(fumi_image_##n##_end - fumi_image_##n##_begin)},
    static const DeviceImage images[] = {FUMI_DEVICE_IMAGES(FUMI_IMAGE)};
#undef FUMI_IMAGE
    return images;
}

std::span<const CheckKernel> check_kernels() noexcept {
#define FUMI_KERNEL(name, parameters, image) {kernel_name::name, image},
    static constexpr CheckKernel kernels[] = {{kCheckReal, 0},
                                              {kCheckDouble, 0},
                                              {kCheckComplex, 0},
                                              {kCheckDoubleComplex, 0},
                                              {kMergeKernel, 0},
                                              {kPrecisionKernel, 0},
                                              {kPrecisionMergeKernel, 0},
                                              FUMI_DNN_KERNELS(FUMI_KERNEL) FUMI_MODE_KERNELS(FUMI_KERNEL)};
#undef FUMI_KERNEL
    return kernels;
}

const void* fatbin() noexcept {
    return device_images()[0].data;
}
std::size_t fatbin_bytes() noexcept {
    return device_images()[0].bytes;
}

}  // namespace fumi
