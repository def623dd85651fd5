// Stands in for csrc/cuda/block.cuh: the same names, on the emulation's blocks.
#pragma once

#include <cuda_runtime.h>

#include "cuda/device_span.cuh"
#include "emulation/blocks.hpp"

namespace lstm_native::cuda {

inline constexpr int warp_threads = 32;

template <class Real>
struct alignas(16) Four {
  Real values[4];
};

// data: an offset into the block's shared memory, as a pointer to be added to.
template <class Real>
struct SharedSpan {
  Real* data;
  int size;

  Real load(int at) const {
    Real value;
    std::memcpy(&value, bytes(at, 1, false), sizeof value);
    return value;
  }
  Four<Real> load_four(int at) const {
    Four<Real> four;
    std::memcpy(&four, aligned(at, false), sizeof four.values);
    return four;
  }
  void store(int at, Real value) const { std::memcpy(bytes(at, 1, true), &value, sizeof value); }
  void store_four(int at, const Four<Real>& four) const { std::memcpy(aligned(at, true), &four, sizeof four.values); }

 private:
  char* bytes(int at, int count, bool writes) const {
    if (at < 0 || at + count > size) __trap();
    return cuda_emulation::shared_bytes(reinterpret_cast<std::uintptr_t>(data + at),
                                        static_cast<std::size_t>(count) * sizeof(Real), writes);
  }
  char* aligned(int at, bool writes) const {
    if (reinterpret_cast<std::uintptr_t>(data + at) % 16 != 0) throw cuda_emulation::Violation("misaligned address");
    return bytes(at, 4, writes);
  }
};

template <class Real>
SharedSpan<Real> shared_memory(int size) {
  return {nullptr, size};
}

inline void synchronize_block() { cuda_emulation::synchronize_threads(); }

template <class Real, int count>
void sum_over_lanes(Real (&values)[count], int lanes) {
  cuda_emulation::sum_in_warp(values, count, static_cast<std::size_t>(lanes));
}

template <class Real>
Real load_of_other_block(const DeviceSpan<Real>& from, index_t at) {
  return from.load(at);
}
template <class Real>
Four<Real> load_four_of_other_block(const DeviceSpan<Real>& from, index_t at) {
  if (reinterpret_cast<std::uintptr_t>(from.data + at) % 16 != 0) {
    throw cuda_emulation::Violation("misaligned address");
  }
  return {{from.load(at), from.load(at + 1), from.load(at + 2), from.load(at + 3)}};
}

struct BlockCounter {
  DeviceSpan<unsigned> counters;
  index_t at;

  void arrive() const {
    counters.require(at);
    cuda_emulation::arrive_at(counters.data + at);
  }
  void wait_for(unsigned arrivals) const {
    counters.require(at);
    cuda_emulation::wait_at(counters.data + at, arrivals);
  }
};

}  // namespace lstm_native::cuda
