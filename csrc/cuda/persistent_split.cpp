#include "cuda/persistent_split.hpp"

#include <algorithm>
#include <cmath>

#include "cuda/errors.hpp"

namespace lstm_native::cuda {
namespace {

// Estimates in clocks of a multiprocessor, of an H100's data sheet; no measurement has confirmed them yet.
constexpr double fours_per_clock = 8;            // loads of four elements from shared memory, by eight threads each
constexpr double multiply_adds_per_clock = 128;  // float32
constexpr double shuffles_per_clock = 1;         // of a warp
constexpr double bytes_per_clock = 64;           // from device memory or its cache, by a multiprocessor
constexpr double cache_bytes_per_clock = 2500;   // by all of them
constexpr double barrier_clocks = 2000;          // between blocks: an atomic operation, a wait, a load
constexpr double step_clocks = 800;              // barriers of a block, gates
constexpr double launch_clocks = 3500;           // of each of two launches of a graph
constexpr double product_efficiency = 0.5;       // of cuBLAS, on the small products of a step
constexpr double tf32_factor = 4;

int divided(index_t size, int by) { return static_cast<int>((size + by - 1) / by); }

double clocks_of(const PersistentSizes& sizes, const PersistentSplit& split) {
  const double words = sizes.element_bytes / 4.0;
  const double warps = split.threads() / 32.0;
  const double fours = divided(sizes.units, 4);
  const double loads = (split.rows_per_thread + 4) * 32 / fours_per_clock;
  const double multiply_adds = split.rows_per_thread * 16 * 32 / multiply_adds_per_clock;
  const double product = std::ceil(fours / split.slices) * warps * words * std::max(loads, multiply_adds);
  const double shuffles = 4 * split.rows_per_thread * std::log2(split.slices) * warps * words / shuffles_per_clock;
  double exchange = 0;
  if (split.unit_blocks > 1) {
    const double bytes =
        static_cast<double>(split.rows()) * split.tile_parts * static_cast<double>(sizes.units) * sizes.element_bytes;
    const double blocks =
        static_cast<double>(split.unit_blocks) * split.row_blocks * static_cast<double>(sizes.directions);
    exchange = barrier_clocks + std::max(bytes / bytes_per_clock, bytes * blocks / cache_bytes_per_clock);
  }
  const double weights = static_cast<double>(split.weights()) * sizes.element_bytes / bytes_per_clock;
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
  const double multiply_adds = static_cast<double>(sizes.batch) * static_cast<double>(gate_count) *
                               static_cast<double>(sizes.units) * static_cast<double>(sizes.units) *
                               static_cast<double>(sizes.directions);
  const double rate = multiply_adds_per_clock * limits.multiprocessors * product_efficiency *
                      (sizes.tf32 ? tf32_factor : 1) / (sizes.element_bytes / 4.0);
  return 2 * launch_clocks + multiply_adds / rate;
}

}  // namespace lstm_native::cuda
