// libtorch's fused optimizers: one kernel over all parameters, on the CPU and on CUDA.
#include "guard.h"
#include "seqfit.h"

#include <algorithm>
#include <vector>

#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <c10/core/GradMode.h>

namespace {

// The kernels give each thread block 65,536 elements and take 36 tensors per call, so a small network would
// occupy only two blocks. Split into as many pieces as one call takes, it occupies 36.
constexpr int64_t PIECES = 36;
constexpr int64_t BLOCK = 65536;

// Splits all tensors into pieces of equal length, if that helps.
void cut(std::initializer_list<std::vector<at::Tensor> *> lists) {
  int64_t total = 0;
  const auto &first = **lists.begin();
  for (const auto &tensor : first) {
    total += tensor.numel();
  }
  const auto pieces = [&](int64_t length) {
    int64_t count = 0;
    for (const auto &tensor : first) {
      count += (tensor.numel() + length - 1) / length;
    }
    return count;
  };
  int64_t length = std::max<int64_t>(1024, (total + PIECES - 1) / PIECES);
  while (length < BLOCK && pieces(length) > PIECES) {
    length += length / 8;
  }
  if (length >= BLOCK) {
    return;
  }
  for (auto *list : lists) {
    std::vector<at::Tensor> all;
    for (const auto &tensor : *list) {
      const auto parts = tensor.view(-1).split(length);
      all.insert(all.end(), parts.begin(), parts.end());
    }
    *list = std::move(all);
  }
}

std::vector<at::Tensor> tensors(at::Tensor *const *pointers, size_t n) {
  std::vector<at::Tensor> list;
  list.reserve(n);
  for (size_t i = 0; i < n; i++) {
    list.push_back(*pointers[i]);
  }
  return list;
}

} // namespace

extern "C" {

char *seqfit_adam(at::Tensor *const *parameters, at::Tensor *const *gradients,
                  at::Tensor *const *first_moments, at::Tensor *const *second_moments, size_t n,
                  at::Tensor *step, const at::Tensor *rate, double learning_rate, double beta1,
                  double beta2, double epsilon, double weight_decay) {
  return seqfit::guard([&] {
    c10::AutoGradMode no_grad(false);
    // The kernels read the step for the bias correction and leave counting to the caller. One counter serves
    // all parameters, because they always step together.
    step->add_(1);
    auto p = tensors(parameters, n), g = tensors(gradients, n), m = tensors(first_moments, n),
         v = tensors(second_moments, n);
    // A step that is captured is split once; for other steps splitting takes as long as it saves.
    if (rate != nullptr) {
      for (auto &gradient : g) {
        gradient = gradient.contiguous();
      }
      cut({&p, &g, &m, &v});
    }
    std::vector<at::Tensor> steps(p.size(), *step);
    const bool amsgrad = false, maximize = false;
    const auto run = [&](const auto &lr) {
      at::_fused_adamw_(p, g, m, v, {}, steps, lr, beta1, beta2, weight_decay, epsilon, amsgrad,
                        maximize);
    };
    rate == nullptr ? run(learning_rate) : run(*rate);
  });
}

char *seqfit_sgd(at::Tensor *const *parameters, at::Tensor *const *gradients,
                 at::Tensor *const *momenta, size_t n, const at::Tensor *rate,
                 double learning_rate, double momentum, bool nesterov, double weight_decay,
                 bool first_step) {
  return seqfit::guard([&] {
    c10::AutoGradMode no_grad(false);
    const auto run = [&](const auto &lr) {
      at::_fused_sgd_(tensors(parameters, n), tensors(gradients, n),
                      momentum == 0.0 ? std::vector<at::Tensor>{} : tensors(momenta, n),
                      weight_decay, momentum, lr, /*dampening=*/0.0, nesterov,
                      /*maximize=*/false, first_step);
    };
    rate == nullptr ? run(learning_rate) : run(*rate);
  });
}
}
