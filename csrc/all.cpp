// All of this folder as one translation unit: reading libtorch's headers, once per unit, takes most of the time
// to compile it.
#include "cuda_graph.cpp"
#include "fused_optimizers.cpp"
#include "loaded_libtorch.cpp"
#include "matmul_precision.cpp"
#include "random_tensors.cpp"
#include "script_module.cpp"
#include "tensor_buffer.cpp"
