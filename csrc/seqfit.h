// A plain C interface, used by src/native/, to the parts of libtorch that tch does not bind.
//
// Every call that can fail returns nullptr for success, or a message that the caller releases with
// seqfit_free: no C++ exception crosses into Rust. Tensors are tch's own pointers (`at::Tensor *`).
#pragma once

#include <cstddef>
#include <cstdint>

#include <ATen/core/Tensor.h>

extern "C" {

void seqfit_free(char *message);

// loaded_libtorch.cpp: which libtorch this process has loaded.
const char *seqfit_built_against(void);
uint64_t seqfit_built_abi(void);
char *seqfit_library_path(void);

// fused_optimizers.cpp: one step of libtorch's fused optimizers, in place over n parameters. The learning rate is
// the value of `rate`, a tensor on the parameters' device, or the number if `rate` is null.
char *seqfit_adam(at::Tensor *const *parameters, at::Tensor *const *gradients,
                  at::Tensor *const *first_moments, at::Tensor *const *second_moments, size_t n,
                  at::Tensor *step, const at::Tensor *rate, double learning_rate, double beta1,
                  double beta2, double epsilon, double weight_decay);
char *seqfit_sgd(at::Tensor *const *parameters, at::Tensor *const *gradients,
                 at::Tensor *const *momenta, size_t n, const at::Tensor *rate,
                 double learning_rate, double momentum, bool nesterov, double weight_decay,
                 bool first_step);

// tensor_buffer.cpp: copies a tensor from host memory to a GPU without waiting for the GPU.
char *seqfit_to_cuda(const at::Tensor *tensor, int32_t device, at::Tensor **copy);

// random_tensors.cpp: sets each element in place to 1 with the given probability, else to 0, from a separate
// generator.
char *seqfit_bernoulli(at::Tensor *tensor, double probability, uint64_t seed);
// The same with the normal distribution of mean 0 and variance 1.
char *seqfit_normal(at::Tensor *tensor, uint64_t seed);

// matmul_precision.cpp: sets whether matrix products in f32 on a GPU may round their inputs to TF32, for the whole
// process; `before` receives the previous setting.
char *seqfit_allow_tf32(bool allow, bool *before);

// cuda_graph.cpp: work queued on a CUDA stream between begin and end is captured, not executed; every replay
// executes it.
struct SeqfitGraph;
char *seqfit_graph_new(int32_t device, SeqfitGraph **graph);
char *seqfit_graph_free(SeqfitGraph *graph);
char *seqfit_graph_begin(SeqfitGraph *graph);
char *seqfit_graph_end(SeqfitGraph *graph);
char *seqfit_graph_replay(SeqfitGraph *graph);
// A stream other than the default one, which cannot be captured.
struct SeqfitStream {
  int64_t id;
  int32_t device;
};
char *seqfit_stream_new(int32_t device, SeqfitStream *stream);
// Returns this thread's stream as CUDA knows it, a CUstream.
char *seqfit_stream_handle(int32_t device, void **handle);
// Makes `*stream` this thread's stream once all work of the previous one is done, and returns the previous
// one in it.
char *seqfit_stream_exchange(SeqfitStream *stream);

// script_module.cpp: builds a torch.jit module piece by piece.
struct SeqfitModule;
char *seqfit_module_new(const char *name, SeqfitModule **module);
char *seqfit_module_free(SeqfitModule *module);
char *seqfit_module_parameter(SeqfitModule *module, const char *name, const at::Tensor *value);
char *seqfit_module_buffer(SeqfitModule *module, const char *name, const at::Tensor *value);
char *seqfit_module_child(SeqfitModule *module, const char *name, const SeqfitModule *child);
char *seqfit_module_ints(SeqfitModule *module, const char *name, const int64_t *values, size_t n);
char *seqfit_module_strings(SeqfitModule *module, const char *name, const char *const *values,
                            size_t n);
char *seqfit_module_float(SeqfitModule *module, const char *name, double value);
char *seqfit_module_define(SeqfitModule *module, const char *source);
// Passes the bytes of the archive that torch.jit.load reads to `take`, once.
char *seqfit_module_archive(const SeqfitModule *module, const char *extra_name,
                            const char *extra_content, void (*take)(void *, const char *, size_t),
                            void *context);
}
