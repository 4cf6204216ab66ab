// All of this folder as one translation unit: reading libtorch's headers, once per unit, takes most of the time
// to compile it.
#include "buffer.cpp"
#include "graph.cpp"
#include "library.cpp"
#include "module.cpp"
#include "optimizer.cpp"
#include "precision.cpp"
#include "random.cpp"
