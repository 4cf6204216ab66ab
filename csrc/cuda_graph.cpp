// CUDA graphs: a CUDA stream's work, captured once and replayed as one operation (at::cuda::CUDAGraph).
//
// The functions are looked up by name in libtorch_cuda, if it is loaded. This library is compiled without
// CUDA's headers and linked without libtorch_cuda, so that one binary serves both builds of libtorch.
// tests/training/cuda_graph.rs compares what is assumed here with the headers.
#include "guard.h"
#include "seqfit.h"

#include <dlfcn.h>
#include <memory>
#include <utility>

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace {

// c10::MempoolId_t. {0, 0}: the graph makes its own pool for what is allocated during capture.
using Pool = std::pair<unsigned long long, unsigned long long>;
static_assert(std::is_same_v<Pool, c10::MempoolId_t>);

// cudaStreamCaptureModeThreadLocal: other threads may do anything during the capture.
constexpr int THREAD_LOCAL = 1;

// Bytes reserved for the object: at least sizeof(at::cuda::CUDAGraph).
constexpr size_t ROOM = 4096;

struct Functions {
  void (*construct)(void *, bool);
  void (*destruct)(void *);
  void (*begin)(void *, Pool, int);
  void (*end)(void *);
  void (*replay)(void *);
};

template <typename F> void find(F &function, const char *name) {
  function = reinterpret_cast<F>(dlsym(RTLD_DEFAULT, name));
  TORCH_CHECK(function != nullptr, "this libtorch has no CUDA graphs (", name, " is missing)");
}

const Functions &functions() {
  static const Functions found = [] {
    Functions f;
    find(f.construct, "_ZN2at4cuda9CUDAGraphC1Eb");
    find(f.destruct, "_ZN2at4cuda9CUDAGraphD1Ev");
    find(f.begin, "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode");
    find(f.end, "_ZN2at4cuda9CUDAGraph11capture_endEv");
    find(f.replay, "_ZN2at4cuda9CUDAGraph6replayEv");
    return f;
  }();
  return found;
}

} // namespace

struct SeqfitGraph {
  alignas(std::max_align_t) unsigned char room[ROOM] = {};
  c10::Device device;
  explicit SeqfitGraph(c10::Device device) : device(device) { functions().construct(room, false); }
  SeqfitGraph(const SeqfitGraph &) = delete;
  ~SeqfitGraph() { functions().destruct(room); }
};

extern "C" {

char *seqfit_graph_new(int32_t device, SeqfitGraph **graph) {
  return seqfit::guard([&] {
    const c10::Device cuda(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
    c10::DeviceGuard current(cuda);
    *graph = std::make_unique<SeqfitGraph>(cuda).release();
  });
}

char *seqfit_graph_free(SeqfitGraph *graph) {
  return seqfit::guard([&] { delete graph; });
}

char *seqfit_graph_begin(SeqfitGraph *graph) {
  return seqfit::guard([&] {
    c10::DeviceGuard current(graph->device);
    functions().begin(graph->room, Pool{0, 0}, THREAD_LOCAL);
  });
}

char *seqfit_graph_end(SeqfitGraph *graph) {
  return seqfit::guard([&] {
    c10::DeviceGuard current(graph->device);
    functions().end(graph->room);
  });
}

char *seqfit_graph_replay(SeqfitGraph *graph) {
  return seqfit::guard([&] {
    c10::DeviceGuard current(graph->device);
    functions().replay(graph->room);
  });
}

char *seqfit_stream_new(int32_t device, SeqfitStream *stream) {
  return seqfit::guard([&] {
    const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    const c10::Device on(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
    const auto packed = cuda.getStreamFromGlobalPool(on).pack3();
    *stream = {packed.stream_id, packed.device_index};
  });
}

char *seqfit_stream_handle(int32_t device, void **handle) {
  return seqfit::guard([&] {
    const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    const c10::Device on(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
    *handle = cuda.getStreamNativeHandle(cuda.getStream(on));
  });
}

char *seqfit_stream_exchange(SeqfitStream *stream) {
  return seqfit::guard([&] {
    const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
    const auto index = static_cast<c10::DeviceIndex>(stream->device);
    // Neither stream waits for the other by itself.
    cuda.synchronizeStream(cuda.getStream(c10::Device(c10::DeviceType::CUDA, index)));
    const auto next = c10::Stream::unpack3(stream->id, index, c10::DeviceType::CUDA);
    const auto packed = cuda.exchangeStream(next).pack3();
    *stream = {packed.stream_id, packed.device_index};
  });
}
}
