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

#include "emulation/blocks.hpp"
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

// What the emulated device has.
inline constexpr int multiprocessors = 6;
inline constexpr int most_shared_bytes = 100 << 10;

// The most shared memory that a kernel's launches may ask for.
inline std::map<const void*, std::size_t>& allowed_shared_bytes() {
  static auto* const allowed = new std::map<const void*, std::size_t>;
  return *allowed;
}

inline dim3 index_at(std::size_t number, const dim3& limits) {
  const auto n = static_cast<unsigned>(number);
  return {n % limits.x, n / limits.x % limits.y, n / limits.x / limits.y};
}

inline std::size_t size_of(const dim3& limits) { return std::size_t{limits.x} * limits.y * limits.z; }

// All threads of all blocks at once.
template <class Body>
void run_together(const char* name, const dim3& grid, const dim3& block, std::size_t shared, const Body& body) {
  Order& order = machine().order;
  const Running outside = running;
  RunningLaunch launch;
  launch.blocks.resize(size_of(grid));
  const std::size_t threads = size_of(block);
  for (RunningBlock& each : launch.blocks) {
    each.strand = order.add_strand();
    each.threads = threads;
    each.name = name;
    each.barriers.resize(threads);
    each.warps.resize((threads + warp_size - 1) / warp_size);
    each.shared.resize(shared);
    each.shared_words.resize((shared + 3) / 4);
    order.wait_for_strand(each.strand, outside.strand);
    begin_operation(each);
  }
  const auto leave = [&] {
    for (const RunningBlock& each : launch.blocks) {
      order.wait_for_strand(outside.strand, each.strand);
      order.remove_strand(each.strand);
    }
    running_launch = nullptr;
    running = outside;
  };
  running_launch = &launch;
  try {
    fibers().run(
        threads * launch.blocks.size(), [&](std::size_t) { body(); },
        [&](std::size_t number) {
          launch.block = number / threads;
          blockIdx = index_at(launch.block, grid);
          threadIdx = index_at(number % threads, block);
          const RunningBlock& mine = launch.blocks[launch.block];
          running = {mine.operation, mine.strand, static_cast<std::uint32_t>(number + 1)};
        });
  } catch (...) {
    leave();
    throw;
  }
  leave();
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

template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute, int value) {
  using namespace cuda_emulation;
  if (value > most_shared_bytes) return cudaErrorInvalidValue;
  allowed_shared_bytes()[reinterpret_cast<const void*>(kernel)] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

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
    const std::size_t shared = config->dynamicSmemBytes;
    const bool together = config->numAttrs == 1 && config->attrs->val.cooperative != 0;
    if (together && size_of(grid) > std::size_t{multiprocessors}) return cudaErrorCooperativeLaunchTooLarge;
    if (shared > std::max(std::size_t{48} << 10U, allowed_shared_bytes()[reinterpret_cast<const void*>(kernel)])) {
      return cudaErrorInvalidValue;
    }
    machine().enqueue(*stream, kept_name(typeid(kernel)), [=] {
      ++machine().injected.launches;
      gridDim = grid;
      blockDim = block;
      if (together) {
        run_together(kept_name(typeid(kernel)), grid, block, shared, [&] { std::apply(kernel, kept); });
        return;
      }
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
