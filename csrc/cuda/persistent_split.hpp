// cuda: how a layer whose steps are all one launch is split over blocks and threads.
#pragma once

#include <cuda_runtime.h>

#include <optional>

#include "common/types.hpp"

namespace lstm_native::cuda {

inline constexpr int most_split_threads = 256;

// The grid is (unit blocks, row blocks, directions).
//
// In the product a thread adds up, for some rows and four columns of the weights, every slices-th group of four
// products. Afterwards a thread has one unit of one row, so there are at least as many slices as rows per thread.
struct PersistentSplit {
  int units = 0;            // of a block, a power of two
  int rows_per_thread = 0;  // a power of two up to 8
  int row_groups = 0;       // threads along a block's rows, a power of two
  int slices = 0;           // threads that share each sum, a power of two up to a warp
  int unit_blocks = 0, row_blocks = 0;
  int stride = 0;  // elements between rows of weights, and of the tile, in shared memory
  // Rows of the tile for each row of the batch: forward its hidden state, backward the gradients of its gates.
  int tile_parts = 0;

  __host__ __device__ int rows() const { return rows_per_thread * row_groups; }
  __host__ __device__ int threads() const { return units * row_groups * slices; }
  __host__ __device__ int weights() const { return static_cast<int>(gate_count) * units * stride; }
  __host__ __device__ int tile() const { return rows() * tile_parts * stride; }
  __host__ __device__ int sums() const { return static_cast<int>(gate_count) * rows() * units; }
  __host__ __device__ int shared_elements() const { return weights() + tile() + sums(); }
};

struct DeviceLimits {
  int multiprocessors = 0;
  int shared_bytes = 0;  // of a block
  bool cooperative = false;
};

// Of a device.
DeviceLimits limits_of(int device);

// The sizes of a layer.
struct PersistentSizes {
  index_t steps, batch, units, directions;
  int element_bytes;
  bool backward;
  bool tf32;      // with separate launches, products may be rounded to TF32
  bool overlaps;  // with separate launches, layers overlap in a wavefront
};

// The split with the least estimated time for a step, or none where no split fits the device. Sets `clocks` to its
// estimate.
std::optional<PersistentSplit> best_split(const PersistentSizes& sizes, const DeviceLimits& limits, double& clocks);

// An estimate for a step with separate launches for the product and the gates.
double clocks_of_launches(const PersistentSizes& sizes, const DeviceLimits& limits);

// Whether one launch with such an estimate is the better choice, by a margin for what the estimates miss.
bool is_faster(double clocks, const PersistentSizes& sizes, const DeviceLimits& limits);

}  // namespace lstm_native::cuda
