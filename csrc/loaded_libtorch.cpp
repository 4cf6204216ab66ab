// Describes the libtorch in this process: its location and the version compiled against.
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

// Returns the file that libtorch's own functions come from, or null if the loader does not know it.
char *seqfit_library_path(void) {
  Dl_info info;
  void *symbol = reinterpret_cast<void *>(&at::get_num_threads);
  if (dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) {
    return nullptr;
  }
  return strdup(info.dli_fname);
}
}
