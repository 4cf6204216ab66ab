// Random tensors from a separate generator, so that no process-wide state is shared.
#include "guard.h"
#include "seqfit.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/bernoulli.h>
#include <ATen/ops/normal.h>
#include <c10/core/GradMode.h>

namespace {

at::Generator generator_of(const at::Device device, uint64_t seed) {
  // The hooks reach CUDA's generator without linking against libtorch_cuda.
  at::Generator generator =
      device.is_cpu() ? at::detail::createCPUGenerator(seed)
                      : at::globalContext()
                            .getAcceleratorHooksInterface(device.type())
                            .getNewGenerator(device.index());
  generator.set_current_seed(seed);
  return generator;
}

} // namespace

extern "C" {

char *seqfit_bernoulli(at::Tensor *tensor, double probability, uint64_t seed) {
  return seqfit::guard([&] {
    c10::AutoGradMode no_grad(false);
    tensor->bernoulli_(probability, generator_of(tensor->device(), seed));
  });
}

char *seqfit_normal(at::Tensor *tensor, uint64_t seed) {
  return seqfit::guard([&] {
    c10::AutoGradMode no_grad(false);
    tensor->normal_(0.0, 1.0, generator_of(tensor->device(), seed));
  });
}
}
