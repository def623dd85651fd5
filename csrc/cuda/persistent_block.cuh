// cuda: a block of a launch that runs all steps of a layer.
//
// Such a block has some units and some rows of a direction, and keeps the recurrent weights of its units in shared
// memory. At each step it needs what all units of its rows have computed at the step before: a tile, which the blocks
// of these rows hand to each other through device memory. They wait for each other between steps. A block that has all
// units shares no tile.
#pragma once

#include "cuda/block.cuh"
#include "cuda/copies.cuh"
#include "cuda/persistent_split.hpp"

namespace lstm_native::cuda {

template <class Real>
struct PersistentBlock {
  const PersistentSplit& split;
  const DeviceRows& rows;
  index_t units, batch;
  bool descending;           // the order of the steps
  SharedSpan<Real> weights;  // (4 * split.units, stride): zeros behind the last unit
  SharedSpan<Real> tile;     // (split.rows(), split.tile_parts, stride): zeros behind the last unit
  SharedSpan<Real> sums;     // (split.rows(), 4 * split.units)
  index_t first_unit, first_row;
  int thread;

  __device__ PersistentBlock(const PersistentSplit& split_of_layer, const DeviceRows& device_rows, index_t all_units,
                             index_t all_rows, bool order)
      : split(split_of_layer), rows(device_rows), units(all_units), batch(all_rows), descending(order) {
    const SharedSpan<Real> all = shared_memory<Real>(split.shared_elements());
    weights = {all.data, split.weights()};
    tile = {all.data + split.weights(), split.tile()};
    sums = {all.data + split.weights() + split.tile(), split.sums()};
    first_unit = static_cast<index_t>(blockIdx.x) * split.units;
    first_row = static_cast<index_t>(blockIdx.y) * split.rows();
    thread = static_cast<int>(threadIdx.x);
  }

  __device__ bool shares_rows() const { return split.unit_blocks > 1; }
  __device__ int units_in_fours() const { return static_cast<int>((units + 3) / 4); }
  __device__ index_t step_at(index_t k) const { return descending ? rows.steps - 1 - k : k; }
  // The first row in storage of the k-th step; k below the number of steps.
  __device__ index_t stored_row(index_t k) const { return rows.offsets.load(step_at(k)); }
  // Rows that take part in the k-th step; none before the first and after the last step.
  __device__ index_t active(index_t k) const {
    if (k < 0 || k >= rows.steps) return 0;
    return rows.offsets.load(step_at(k) + 1) - rows.offsets.load(step_at(k));
  }
  // Of this block's rows.
  __device__ int active_here(index_t k) const {
    const index_t here = active(k) - first_row;
    return here < 0 ? 0 : static_cast<int>(here < split.rows() ? here : split.rows());
  }

  // The unit of a row whose state this thread has.
  __device__ int local_unit() const { return thread % split.units; }
  __device__ int local_row() const { return thread / split.units; }
  __device__ index_t unit() const { return first_unit + local_unit(); }
  __device__ index_t row() const { return first_row + local_row(); }
  __device__ bool has_unit() const { return local_row() < split.rows() && row() < batch && unit() < units; }

  // The recurrent weights, (4, units, units): the rows of this block's units in each gate, or those of their
  // transposes.
  template <bool transposed>
  __device__ void load_weights(const DeviceSpan<Real>& from) const {
    if (units % 4 == 0 && split.units % 4 == 0) {
      load_weights_in_fours<transposed>(from);
      return;
    }
    const int width = 4 * units_in_fours();
    const int count = static_cast<int>(gate_count) * split.units * width;
    for (int index = thread; index < count; index += split.threads()) {
      const int column = index / width;
      const int k = index - column * width;
      const index_t gate = column / split.units;
      const index_t own = first_unit + column % split.units;
      const bool exists = own < units && k < units;
      const index_t at = transposed ? (gate * units + k) * units + own : (gate * units + own) * units + k;
      weights.store(column * split.stride + k, exists ? from.load(at) : Real{0});
    }
  }

  // The same where four neighbouring weights can be loaded at once. Several loads of a thread are under way together.
  template <bool transposed>
  __device__ void load_weights_in_fours(const DeviceSpan<Real>& from) const {
    const int inner = transposed ? split.units / 4 : units_in_fours();
    const int outer = transposed ? static_cast<int>(units) : split.units;
    const int count = static_cast<int>(gate_count) * outer * inner;
#pragma unroll 4
    for (int index = thread; index < count; index += split.threads()) {
      const int rest = index / inner;
      const int four = 4 * (index - rest * inner);
      const int gate = rest / outer;
      const int line = rest - gate * outer;
      const index_t own = first_unit + (transposed ? four : line);
      const index_t k = transposed ? line : four;
      Four<Real> loaded{};
      if (own < units) {
        loaded = load_four_of_other_block(
            from, transposed ? (gate * units + k) * units + own : (gate * units + own) * units + k);
      }
      if constexpr (transposed) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
          weights.store((gate * split.units + four + n) * split.stride + line, loaded.values[n]);
        }
      } else {
        weights.store_four((gate * split.units + line) * split.stride + four, loaded);
      }
    }
  }

  __device__ void clear_tile() const {
    for (int index = thread; index < split.tile(); index += split.threads()) tile.store(index, Real{0});
  }

  // Loads the tile's first `count` rows, as other blocks wrote them. Each is tile_parts * units wide; the first begins
  // at `first`.
  __device__ void load_tile(const DeviceSpan<Real>& from, index_t first, int count) const {
    const auto width = static_cast<int>(units);
    if (units % 4 == 0) {
      const int fours = units_in_fours();
      for (int index = thread; index < count * split.tile_parts * fours; index += split.threads()) {
        const int part = index / fours;
        const int four = 4 * (index - part * fours);
        tile.store_four(part * split.stride + four,
                        load_four_of_other_block(from, first + static_cast<index_t>(part) * width + four));
      }
    } else {
      for (int index = thread; index < count * split.tile_parts * width; index += split.threads()) {
        const int part = index / width;
        tile.store(part * split.stride + index - part * width, load_of_other_block(from, first + index));
      }
    }
  }

  // Which of the tile's rows and weights a thread multiplies.
  __device__ int slice() const { return thread % split.slices; }
  __device__ int column_group() const { return thread / split.slices % split.units; }
  __device__ int row_group() const { return thread / (split.slices * split.units); }

  // Writes to `sums`, for some rows, the products of the tile's part with four of the weights' columns.
  template <int rows_per_thread>
  __device__ void multiply(int first_column, int column_step, int part) const {
    constexpr int columns = 4;
    Real totals[rows_per_thread * columns];
#pragma unroll
    for (Real& total : totals) total = Real{0};
    const int own = slice();
    const int step = 4 * split.slices;
    const int columns_apart = column_step * split.stride;
    const int rows_apart = split.row_groups * split.tile_parts * split.stride;
    int from_weights = first_column * split.stride + 4 * own;
    int from_tile = (row_group() * split.tile_parts + part) * split.stride + 4 * own;
#pragma unroll 2
    for (int four = own; four < units_in_fours(); four += split.slices) {
      Four<Real> factors[columns];
#pragma unroll
      for (int n = 0; n < columns; ++n) factors[n] = weights.load_four(from_weights + n * columns_apart);
#pragma unroll
      for (int k = 0; k < rows_per_thread; ++k) {
        const Four<Real> values = tile.load_four(from_tile + k * rows_apart);
#pragma unroll
        for (int n = 0; n < columns; ++n) {
#pragma unroll
          for (int m = 0; m < 4; ++m) totals[k * columns + n] += factors[n].values[m] * values.values[m];
        }
      }
      from_weights += step;
      from_tile += step;
    }
    sum_over_lanes(totals, split.slices);
    const int first = row_group() * columns * split.units + first_column;
    const int sums_apart = split.row_groups * columns * split.units;
#pragma unroll
    for (int k = 0; k < rows_per_thread; ++k) {
#pragma unroll
      for (int n = 0; n < columns; ++n) {
        if (own == k) sums.store(first + k * sums_apart + n * column_step, totals[k * columns + n]);
      }
    }
  }
  __device__ Real sum(int gate) const {
    return sums.load((local_row() * static_cast<int>(gate_count) + gate) * split.units + local_unit());
  }
};

}  // namespace lstm_native::cuda
