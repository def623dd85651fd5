// cuda: what the threads of a block share, and the blocks of a launch that run at once.
//
// tests/cuda_emulation/cuda/block.cuh stands in for this header where kernels run as C++ functions.
#pragma once

#include <cuda_runtime.h>

#include "cuda/device_span.cuh"

namespace lstm_native::cuda {

inline constexpr int warp_threads = 32;

// Four elements that one or two instructions load.
template <class Real>
struct alignas(16) Four {
  Real values[4];
};

// A range of a block's shared memory. Without NDEBUG a thread that leaves it traps.
template <class Real>
struct SharedSpan {
  Real* data;
  int size;

  __device__ Real load(int at) const {
    require(at, 1);
    return data[at];
  }
  // at: a multiple of four.
  __device__ Four<Real> load_four(int at) const {
    require(at, 4);
    return *reinterpret_cast<const Four<Real>*>(data + at);
  }
  __device__ void store(int at, Real value) const {
    require(at, 1);
    data[at] = value;
  }
  __device__ void store_four(int at, const Four<Real>& value) const {
    require(at, 4);
    *reinterpret_cast<Four<Real>*>(data + at) = value;
  }
  __device__ void require([[maybe_unused]] int at, [[maybe_unused]] int count) const {
#ifndef NDEBUG
    if (at < 0 || at + count > size) __trap();
#endif
  }
};

// The block's shared memory, which the launch gave `size` elements at least.
template <class Real>
__device__ SharedSpan<Real> shared_memory(int size) {
  extern __shared__ __align__(16) unsigned char block_memory[];
  return {reinterpret_cast<Real*>(block_memory), size};
}

// All threads of the block arrive before any goes on. All of them then see what each has written.
__device__ inline void synchronize_block() { __syncthreads(); }

// Replaces each value by its sum over `lanes` neighbouring threads, a power of two up to a warp. All threads of the
// warp call it.
template <class Real, int count>
__device__ void sum_over_lanes(Real (&values)[count], int lanes) {
#pragma unroll
  for (int distance = 1; distance < warp_threads; distance *= 2) {
    if (distance >= lanes) break;
#pragma unroll
    for (int k = 0; k < count; ++k) values[k] += __shfl_xor_sync(0xFFFFFFFFU, values[k], distance);
  }
}

// Loads what another block wrote before it arrived at a counter that this block has waited for.
template <class Real>
__device__ Real load_of_other_block(const DeviceSpan<Real>& from, index_t at) {
  from.require(at);
  return __ldcg(from.data + at);
}
// Four elements that begin at a multiple of 16 bytes.
template <class Real>
__device__ Four<Real> load_four_of_other_block(const DeviceSpan<Real>& from, index_t at) {
  from.require(at);
  from.require(at + 3);
  Four<Real> four;
  if constexpr (sizeof(Real) == sizeof(float)) {
    const float4 loaded = __ldcg(reinterpret_cast<const float4*>(from.data + at));
    four.values[0] = loaded.x;
    four.values[1] = loaded.y;
    four.values[2] = loaded.z;
    four.values[3] = loaded.w;
  } else {
    for (int half = 0; half < 2; ++half) {
      const double2 loaded = __ldcg(reinterpret_cast<const double2*>(from.data + at) + half);
      four.values[2 * half] = loaded.x;
      four.values[2 * half + 1] = loaded.y;
    }
  }
  return four;
}

// Counts blocks that have arrived. The counter is in device memory, zero when the launch begins. One thread of a block
// calls arrive() and wait_for(), between two calls of synchronize_block().
struct BlockCounter {
  DeviceSpan<unsigned> counters;
  index_t at;

  // Blocks that wait for this one then see what it has written.
  __device__ void arrive() const {
    counters.require(at);
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(counters.data + at) : "memory");
  }
  __device__ void wait_for(unsigned arrivals) const {
    unsigned arrived = 0;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(arrived) : "l"(counters.data + at) : "memory");
    } while (arrived < arrivals);
  }
};

}  // namespace lstm_native::cuda
