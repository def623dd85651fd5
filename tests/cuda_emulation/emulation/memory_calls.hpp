// emulation: the runtime's calls that allocate, free, copy.
#pragma once

#include <cstring>

#include "emulation/launch.hpp"

inline cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  using namespace cuda_emulation;
  return guarded([&] {
    return machine().this_thread_captures() ? cudaErrorStreamCaptureUnsupported : allocate(pointer, bytes, nullptr);
  });
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
