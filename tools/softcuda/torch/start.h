// The entry of libsoftcuda_torch.so and what its parts install.
#pragma once

/* Called once by libsoftcuda.so when libtorch_cuda.so is in the process and its static initialisers have run.
 * Returns 0, or -1 with a message on stderr. */
extern "C" __attribute__((visibility("default"))) int softcuda_torch_start(void);

namespace torch {
class Library;
}

namespace softcuda::torch_device {

void install_redirects();       // every aten op with a plain CUDA kernel and a CPU kernel
void install_copies();          // the copy and fill kernels that native ops launch without the dispatcher
void install_library_ops();     // ops that only CUDA has: fused kernels, ...
void install_random_kernels();  // kernels that hand the generator's state to a library
void install_convolutions(torch::Library& library);
void install_recurrent_cells(torch::Library& library);

}  // namespace softcuda::torch_device
