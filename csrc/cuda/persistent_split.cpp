#include "cuda/persistent_split.hpp"

#include <algorithm>
#include <cmath>

#include "cuda/errors.hpp"

namespace lstm_native::cuda {
namespace {

// Estimates in clocks of a multiprocessor (1.98 GHz): fitted to the times of python -m bench.gpu_check on an NVIDIA
// H100 80GB HBM3, driver 580, CUDA 13.0 (bench/results/nvidia-h100.md), of both ways to run the steps.
constexpr double step_clocks = 2000;              // barriers of a block, gates, loads
constexpr double iteration_clocks = 60;           // of the product's loop: the latency of its loads
constexpr double row_clocks = 40;                 // more for each row of a thread
constexpr double fours_per_clock = 8;             // loads of four elements from shared memory, by eight threads each
constexpr double multiply_adds_per_clock = 128;   // float32
constexpr double shuffle_clocks = 30;             // the latency of one; a multiprocessor does a warp's in a clock
constexpr double exchange_clocks = 2700;          // blocks wait for each other
constexpr double exchange_clocks_of_block = 3;    // more for each block that they wait for
constexpr double bytes_per_clock = 64;            // from device memory or its cache, by a multiprocessor
constexpr double cache_bytes_per_clock = 2500;    // by all of them
constexpr double weights_clocks = 2000;           // before the first step
constexpr double weights_clocks_of_four = 200;    // more for each four that a thread loads
constexpr double launch_clocks = 4450;            // of each of two launches of a graph
constexpr double product_efficiency = 0.18;       // of cuBLAS, on the products of a step
constexpr double product_bytes_per_clock = 1900;  // at which cuBLAS reads the weights
constexpr double tf32_factor = 3.5;
constexpr double wavefront_factor = 1.4;  // by which layers of one direction overlap
// How much faster the estimate must be than that of launches.
constexpr double margin = 0.8;

int divided(index_t size, int by) { return static_cast<int>((size + by - 1) / by); }

double clocks_of(const PersistentSizes& sizes, const PersistentSplit& split) {
  const double words = sizes.element_bytes / 4.0;
  const double warps = split.threads() / 32.0;
  const double rows = split.rows_per_thread;
  const double loads = (rows + 4) * 32 / fours_per_clock;
  const double multiply_adds = rows * 16 * 32 / multiply_adds_per_clock;
  const double iteration =
      std::max(iteration_clocks + row_clocks * rows, warps * words * std::max(loads, multiply_adds));
  const double product = divided(divided(sizes.units, 4), split.slices) * iteration;
  const double shuffles = std::log2(split.slices) * (shuffle_clocks + 4 * rows * warps * words);
  double exchange = 0;
  if (split.unit_blocks > 1) {
    const double bytes =
        static_cast<double>(split.rows()) * split.tile_parts * static_cast<double>(sizes.units) * sizes.element_bytes;
    const double blocks =
        static_cast<double>(split.unit_blocks) * split.row_blocks * static_cast<double>(sizes.directions);
    exchange = exchange_clocks + exchange_clocks_of_block * split.unit_blocks +
               std::max(bytes / bytes_per_clock, bytes * blocks / cache_bytes_per_clock);
  }
  const double weights = weights_clocks + weights_clocks_of_four * split.weights() / 4.0 / split.threads();
  return step_clocks + product + shuffles + exchange + weights / static_cast<double>(std::max<index_t>(sizes.steps, 1));
}

// The stride for which eight neighbouring threads load fours from different banks of shared memory.
int stride_for(index_t units, int slices) {
  int fours = divided(units, 4);
  while (slices < 8 && fours % (2 * slices) != slices) ++fours;
  return 4 * fours;
}

}  // namespace

DeviceLimits limits_of(int device) {
  const auto attribute = [&](cudaDeviceAttr name) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, name, device), "cudaDeviceGetAttribute");
    return value;
  };
  return {attribute(cudaDevAttrMultiProcessorCount), attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin),
          attribute(cudaDevAttrCooperativeLaunch) != 0};
}

std::optional<PersistentSplit> best_split(const PersistentSizes& sizes, const DeviceLimits& limits, double& clocks) {
  std::optional<PersistentSplit> best;
  constexpr index_t most_units = 4096;  // fewer fit any device; so that no product below overflows
  if (!limits.cooperative || sizes.batch == 0 || sizes.units > most_units) return best;
  // Backward, the four columns of a thread are four units.
  for (int units = sizes.backward ? 4 : 1; units <= 64; units *= 2) {
    for (int rows_per_thread = 1; rows_per_thread <= 8; rows_per_thread *= 2) {
      for (int row_groups = 1; row_groups * units <= most_split_threads; row_groups *= 2) {
        for (int slices = rows_per_thread; slices <= 32; slices *= 2) {
          const PersistentSplit split{units,
                                      rows_per_thread,
                                      row_groups,
                                      slices,
                                      divided(sizes.units, units),
                                      divided(sizes.batch, rows_per_thread * row_groups),
                                      stride_for(sizes.units, slices),
                                      sizes.backward ? static_cast<int>(gate_count) : 1};
          if (split.threads() < 32 || split.threads() > most_split_threads) continue;
          const auto blocks = static_cast<index_t>(split.unit_blocks) * split.row_blocks * sizes.directions;
          const auto bytes = static_cast<index_t>(split.shared_elements()) * sizes.element_bytes;
          // One block a multiprocessor, so that all of them run at once.
          if (blocks > limits.multiprocessors || bytes > limits.shared_bytes) continue;
          const double estimate = clocks_of(sizes, split);
          if (best.has_value() && estimate >= clocks) continue;
          best = split;
          clocks = estimate;
        }
      }
    }
  }
  return best;
}

double clocks_of_launches(const PersistentSizes& sizes, const DeviceLimits& limits) {
  const double weights = static_cast<double>(gate_count) * static_cast<double>(sizes.units) *
                         static_cast<double>(sizes.units) * static_cast<double>(sizes.directions);
  const double rate = multiply_adds_per_clock * limits.multiprocessors * product_efficiency *
                      (sizes.tf32 ? tf32_factor : 1) / (sizes.element_bytes / 4.0);
  const double step = 2 * launch_clocks + std::max(weights * static_cast<double>(sizes.batch) / rate,
                                                   weights * sizes.element_bytes / product_bytes_per_clock);
  return sizes.overlaps ? step / wavefront_factor : step;
}

bool is_faster(double clocks, const PersistentSizes& sizes, const DeviceLimits& limits) {
  return clocks < margin * clocks_of_launches(sizes, limits);
}

}  // namespace lstm_native::cuda
