// The libtorch in this process: where it lies and what it was compiled with.
#include "seqfit.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

extern "C" {

void seqfit_free(char *message) { free(message); }

const char *seqfit_built_against(void) { return TORCH_VERSION; }

uint64_t seqfit_built_abi(void) { return TORCH_ABI_VERSION; }

// The file that libtorch's own functions come from, null if the loader does not know.
char *seqfit_library_path(void) {
  Dl_info info;
  void *symbol = reinterpret_cast<void *>(&at::get_num_threads);
  if (dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) {
    return nullptr;
  }
  return strdup(info.dli_fname);
}
}
