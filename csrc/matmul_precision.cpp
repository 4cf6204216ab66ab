// The precision with which libtorch multiplies f32 matrices on a GPU.
#include "guard.h"
#include "seqfit.h"

#include <ATen/Context.h>

extern "C" {

char *seqfit_allow_tf32(bool allow, bool *before) {
  return seqfit::guard([&] {
    auto &context = at::globalContext();
    *before = context.allowTF32CuBLAS();
    context.setAllowTF32CuBLAS(allow);
  });
}
}
