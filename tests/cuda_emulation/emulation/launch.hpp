// emulation: launches of kernels, and what kernels call.
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

#include "emulation/types.hpp"

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
