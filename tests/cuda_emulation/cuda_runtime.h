// A stand-in for the parts of the CUDA runtime that csrc/cuda uses, for tests on machines without a device. It checks
// what a device would fail at, and what a device would let pass by luck; see emulation/memory.hpp and CONTRIBUTING.md.
#pragma once

#include <cxxabi.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <typeinfo>
#include <utility>

#include "emulation/machine.hpp"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorInvalidResourceHandle = 400,
  cudaErrorIllegalAddress = 700,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureUnjoined = 904,
  cudaErrorStreamCaptureIsolation = 905,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor = 75, cudaDevAttrComputeCapabilityMinor = 76 };
enum cudaMemoryType {
  cudaMemoryTypeUnregistered = 0,
  cudaMemoryTypeHost = 1,
  cudaMemoryTypeDevice = 2,
  cudaMemoryTypeManaged = 3
};
enum : unsigned { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

using cudaStream_t = cuda_emulation::Stream*;
using cudaEvent_t = cuda_emulation::Event*;
using cudaGraph_t = std::shared_ptr<cuda_emulation::Graph>*;
using cudaGraphExec_t = cuda_emulation::ExecutableGraph*;

struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  dim3(unsigned a, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  void* attrs = nullptr;
  unsigned numAttrs = 0;
};

inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cuda_emulation {

// Runs body under the lock; what it throws becomes the error code that a device would give, its text is kept.
template <class Body>
cudaError_t guarded(const Body& body) {
  const std::lock_guard<std::recursive_mutex> lock(machine().mutex);
  try {
    return body();
  } catch (const Violation& violation) {
    machine().violation = violation.what();
    return cudaErrorIllegalAddress;
  }
}

// Null: no such stream.
inline Stream* stream_of(cudaStream_t handle) {
  const auto number = reinterpret_cast<std::uintptr_t>(handle);
  if (number <= 1) return &machine().default_stream;
  if (number == 2) return &machine().thread_stream;
  return machine().streams.count(handle) != 0 ? handle : nullptr;
}

inline const char* kept_name(const std::type_info& type) {
  static std::map<std::string, std::string> names;
  std::string& name = names[type.name()];
  if (name.empty()) {
    int status = 0;
    char* readable = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
    name = "a kernel of type " + std::string(readable);
    std::free(readable);
  }
  return name.c_str();
}

inline bool within_limits(const dim3& grid, const dim3& block) {
  return grid.x >= 1 && grid.y >= 1 && grid.z >= 1 && block.x >= 1 && block.y >= 1 && block.z >= 1 &&
         grid.x <= 0x7FFFFFFFU && grid.y <= 65535 && grid.z <= 65535 && block.x <= 1024 && block.y <= 1024 &&
         block.z <= 64 && static_cast<unsigned long long>(block.x) * block.y * block.z <= 1024;
}

template <class Index, class Body>
void for_each_index(const dim3& limits, Index& index, const Body& body) {
  for (index.z = 0; index.z < limits.z; ++index.z) {
    for (index.y = 0; index.y < limits.y; ++index.y) {
      for (index.x = 0; index.x < limits.x; ++index.x) body();
    }
  }
}

inline cudaError_t allocate(void** pointer, std::size_t bytes, Stream* stream) {
  Machine& m = machine();
  if (m.injected.fail_allocation >= 0 && m.injected.fail_allocation-- == 0) return cudaErrorMemoryAllocation;
  const std::uint32_t operation = stream == nullptr ? 0 : m.order.begin(m.issue(*stream), "cudaMallocAsync");
  *pointer = bytes == 0 ? nullptr : m.memory.allocate(bytes, operation);
  return bytes != 0 && *pointer == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

}  // namespace cuda_emulation

template <class T>
T __ldca(const T* address) {
  T value;
  std::memcpy(&value, cuda_emulation::machine().memory.read(address, sizeof(T)), sizeof(T));
  return value;
}
template <class T>
void __stwb(T* address, T value) {
  std::memcpy(cuda_emulation::machine().memory.write(address, sizeof(T)), &value, sizeof(T));
}
[[noreturn]] inline void __trap() { throw cuda_emulation::Violation("a thread trapped: index out of range"); }

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  static_assert((0 + ... + sizeof(Parameters)) <= 4096, "more than a launch can hand over");
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    if (!within_limits(config->gridDim, config->blockDim)) return cudaErrorInvalidConfiguration;
    Stream* stream = stream_of(config->stream);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    std::tuple<Parameters...> kept(std::forward<Arguments>(arguments)...);
    const dim3 grid = config->gridDim;
    const dim3 block = config->blockDim;
    machine().enqueue(*stream, kept_name(typeid(kernel)), [=] {
      ++machine().injected.launches;
      gridDim = grid;
      blockDim = block;
      running.thread = 0;
      for_each_index(grid, blockIdx, [&] {
        for_each_index(block, threadIdx, [&] {
          ++running.thread;
          std::apply(kernel, kept);
        });
      });
    });
    return cudaSuccess;
  });
}

inline cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  using namespace cuda_emulation;
  return guarded(
      [&] { return machine().captures > 0 ? cudaErrorStreamCaptureUnsupported : allocate(pointer, bytes, nullptr); });
}
inline cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&] {
    Stream* s = stream_of(stream);
    return s == nullptr ? cudaErrorInvalidResourceHandle : allocate(pointer, bytes, s);
  });
}
inline cudaError_t cudaFree(void* pointer) {
  using namespace cuda_emulation;
  return guarded([&] {
    machine().synchronise_everything();
    if (pointer != nullptr) machine().memory.release(pointer, Order::host, /*everything=*/true);
    return cudaSuccess;
  });
}
inline cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    Stream* s = stream_of(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (pointer != nullptr) machine().memory.release(pointer, machine().issue(*s), /*everything=*/false);
    return cudaSuccess;
  });
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    Stream* s = stream_of(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    Memory& memory = machine().memory;
    const bool to_device = kind != cudaMemcpyDeviceToHost;
    const bool from_device = kind != cudaMemcpyHostToDevice;
    if (bytes > 0 && (memory.contains(to) != to_device || memory.contains(from) != from_device)) {
      machine().violation = "cudaMemcpyAsync: a pointer is not of the side that its kind says";
      return cudaErrorInvalidValue;
    }
    machine().enqueue(*s, "cudaMemcpyAsync", [=] {
      if (bytes == 0) return;
      if (!from_device) machine().injected.bytes_to_device += static_cast<long>(bytes);
      if (!to_device) machine().injected.bytes_to_host += static_cast<long>(bytes);
      const void* source = from_device ? machine().memory.read(from, bytes) : from;
      void* target = to_device ? machine().memory.write(to, bytes) : to;
      std::memcpy(target, source, bytes);
    });
    return cudaSuccess;
  });
}
inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    Stream* s = stream_of(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    machine().enqueue(*s, "cudaMemsetAsync", [=] {
      if (bytes > 0) std::memset(machine().memory.write(to, bytes), value, bytes);
    });
    return cudaSuccess;
  });
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  using namespace cuda_emulation;
  return guarded([&] {
    *stream = new Stream;
    (*stream)->strand = machine().order.add_strand();
    (*stream)->blocking = (flags & cudaStreamNonBlocking) == 0;
    machine().streams.insert(*stream);
    return cudaSuccess;
  });
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&] {
    if (machine().streams.erase(stream) == 0) return cudaErrorInvalidResourceHandle;
    machine().order.remove_strand(stream->strand);
    delete stream;
    return cudaSuccess;
  });
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&] {
    Stream* s = stream_of(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    machine().issue(*s);
    machine().order.wait_for_strand(Order::host, s->strand);
    return cudaSuccess;
  });
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  using namespace cuda_emulation;
  return guarded([&] {
    *event = new Event;
    machine().events.insert(*event);
    return cudaSuccess;
  });
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  using namespace cuda_emulation;
  return guarded([&] {
    if (machine().events.erase(event) == 0) return cudaErrorInvalidResourceHandle;
    delete event;
    return cudaSuccess;
  });
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&] {
    Stream* s = stream_of(stream);
    if (s == nullptr || machine().events.count(event) == 0) return cudaErrorInvalidResourceHandle;
    machine().record(*event, *s);
    return cudaSuccess;
  });
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    Stream* s = stream_of(stream);
    if (s == nullptr || machine().events.count(event) == 0) return cudaErrorInvalidResourceHandle;
    Injected& injected = machine().injected;
    ++injected.waits;
    if (injected.skip_wait >= 0 && injected.skip_wait-- == 0) return cudaSuccess;
    if (!event->recorded) return cudaSuccess;  // as CUDA has it
    return machine().wait(*s, *event) ? cudaSuccess : cudaErrorStreamCaptureIsolation;
  });
}

inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  using namespace cuda_emulation;
  return guarded([&] {
    Stream* s = stream_of(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s == &machine().default_stream || s->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    machine().begin_capture(*s);
    return cudaSuccess;
  });
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    Stream* s = stream_of(stream);
    if (s == nullptr || s->capture == nullptr || s->capture->origin != s) return cudaErrorInvalidValue;
    auto captured = machine().end_capture(*s);
    if (captured == nullptr) {
      machine().violation = "a captured stream was not joined";
      return cudaErrorStreamCaptureUnjoined;
    }
    *graph = new std::shared_ptr<Graph>(std::move(captured));
    return cudaSuccess;
  });
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new cuda_emulation::ExecutableGraph{*graph, {}};
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    Stream* s = stream_of(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    machine().launch(*executable, *s);
    return cudaSuccess;
  });
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return cuda_emulation::guarded([&] {
    for (const auto strand : executable->strands) cuda_emulation::machine().order.remove_strand(strand);
    delete executable;
    return cudaSuccess;
  });
}

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = cuda_emulation::machine().devices;
  return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = cuda_emulation::machine().device;
  return cuda_emulation::machine().devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}
inline cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= cuda_emulation::machine().devices) return cudaErrorInvalidDevice;
  cuda_emulation::machine().device = device;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? 8 : 0;
  return cudaSuccess;
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const bool ours = cuda_emulation::machine().memory.contains(pointer);
  *attributes = {ours ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered, 0};
  return cudaSuccess;
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = 0;
  return cudaSuccess;
}
inline const char* cudaGetErrorString(cudaError_t error) {
  static thread_local std::string text;
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureIsolation:
      return "dependency created on uncaptured work in another stream";
    default:
      text = "emulated: " + cuda_emulation::machine().violation;
      return text.c_str();
  }
}
