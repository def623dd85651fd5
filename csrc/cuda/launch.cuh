// cuda: launches of kernels in which a thread computes one element, for any number of elements.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "cuda/errors.hpp"

namespace lstm_native::cuda {

inline constexpr unsigned block_threads = 128;
inline constexpr index_t most_grid_rows = 65535;  // a device's limit

// Threads along x for `columns` elements each of `rows` rows along y, in `layers` layers along z. A kernel covers rows
// beyond a device's limit in steps of gridDim.y; columns and layers fit the limit. Without elements, nothing is
// launched.
template <class... Parameters, class... Arguments>
void launch(cudaStream_t stream, index_t columns, index_t rows, index_t layers, void (*kernel)(Parameters...),
            Arguments... arguments) {
  if (columns == 0 || rows == 0 || layers == 0) return;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>((columns + block_threads - 1) / block_threads),
                        static_cast<unsigned>(std::min(rows, most_grid_rows)), static_cast<unsigned>(layers));
  config.blockDim = dim3(block_threads);
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, arguments...), "launch");
}

// The column that a thread has.
__device__ inline index_t column_of_thread() {
  return static_cast<index_t>(blockIdx.x) * static_cast<index_t>(blockDim.x) + static_cast<index_t>(threadIdx.x);
}

}  // namespace lstm_native::cuda
