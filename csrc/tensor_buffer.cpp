// Copies tensors from host memory to a GPU.
#include "guard.h"
#include "seqfit.h"

extern "C" {

char *seqfit_to_cuda(const at::Tensor *tensor, int32_t device, at::Tensor **copy) {
  return seqfit::guard([&] {
    const c10::Device to(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
    // Pinned: otherwise the copy would wait for all work already queued on the GPU. libtorch keeps the memory
    // until it has been copied.
    *copy = new at::Tensor(tensor->pin_memory().to(to, /*non_blocking=*/true));
  });
}
}
