// What libtorch has and tch does not bind, as plain C for src/native/.
//
// Every call that can fail returns nullptr for success or a message that the caller releases with
// seqfit_free: no C++ exception crosses into Rust. Tensors are tch's own pointers (`at::Tensor *`).
#pragma once

#include <cstddef>
#include <cstdint>

#include <ATen/core/Tensor.h>

extern "C" {

void seqfit_free(char *message);

// library.cpp: which libtorch this process has loaded.
const char *seqfit_built_against(void);
uint64_t seqfit_built_abi(void);
char *seqfit_library_path(void);

// optimizer.cpp: one step of libtorch's fused optimisers, in place over n parameters. The learning rate is
// that of the tensor on the parameters' device, or the number where that is null.
char *seqfit_adam(at::Tensor *const *parameters, at::Tensor *const *gradients,
                  at::Tensor *const *first_moments, at::Tensor *const *second_moments, size_t n,
                  at::Tensor *step, const at::Tensor *rate, double learning_rate, double beta1,
                  double beta2, double epsilon, double weight_decay, bool decoupled);
char *seqfit_sgd(at::Tensor *const *parameters, at::Tensor *const *gradients,
                 at::Tensor *const *momenta, size_t n, const at::Tensor *rate,
                 double learning_rate, double momentum, double weight_decay, bool nesterov,
                 bool first_step);

// random.cpp: in place, each element 1 with the given probability, else 0, from its own generator.
char *seqfit_bernoulli(at::Tensor *tensor, double probability, uint64_t seed);

// precision.cpp: whether products of f32 matrices on a GPU may round their factors to TF32, for the whole
// process; `before` gets what it was.
char *seqfit_allow_tf32(bool allow, bool *before);

// graph.cpp: what a CUDA stream does between begin and end is recorded, not done, and done by every replay.
struct SeqfitGraph;
char *seqfit_graph_new(int32_t device, SeqfitGraph **graph);
char *seqfit_graph_free(SeqfitGraph *graph);
char *seqfit_graph_begin(SeqfitGraph *graph);
char *seqfit_graph_end(SeqfitGraph *graph);
char *seqfit_graph_replay(SeqfitGraph *graph);
// A stream that is not the default one, which cannot be recorded.
struct SeqfitStream {
  int64_t id;
  int32_t device;
};
char *seqfit_stream_new(int32_t device, SeqfitStream *stream);
// Makes it this thread's stream once all work of its device is done, and hands back the one before.
char *seqfit_stream_exchange(SeqfitStream *stream);

// module.cpp: a torch.jit module put together piece by piece.
struct SeqfitModule;
char *seqfit_module_new(const char *name, SeqfitModule **module);
char *seqfit_module_free(SeqfitModule *module);
char *seqfit_module_parameter(SeqfitModule *module, const char *name, const at::Tensor *value);
char *seqfit_module_child(SeqfitModule *module, const char *name, const SeqfitModule *child);
char *seqfit_module_ints(SeqfitModule *module, const char *name, const int64_t *values, size_t n);
char *seqfit_module_strings(SeqfitModule *module, const char *name, const char *const *values,
                            size_t n);
char *seqfit_module_float(SeqfitModule *module, const char *name, double value);
char *seqfit_module_define(SeqfitModule *module, const char *source);
// Hands the bytes of the archive that torch.jit.load reads to `take`, once.
char *seqfit_module_archive(const SeqfitModule *module, const char *extra_name,
                            const char *extra_content, void (*take)(void *, const char *, size_t),
                            void *context);
}
