// cuda: all steps of a layer in one launch, whose blocks keep the recurrent weights in shared memory.
//
// A block has some units and some rows of a direction: it computes their states at every step, and needs the hidden
// states of all units in those rows. The blocks of one direction's rows hand them to each other through device memory,
// and wait for each other between steps. A block that has all units keeps them to itself.
#pragma once

#include "cuda/block.cuh"
#include "cuda/copies.cuh"
#include "cuda/gates.cuh"
#include "cuda/persistent_split.hpp"

namespace lstm_native::cuda {

template <class Real>
struct PersistentDirection {
  DeviceSpan<Real> hidden_weights;  // (4, units, units)
  DeviceSpan<Real> hidden_final;    // (batch, units): written
  DeviceSpan<Real> exchange;        // (2, batch, units): hidden states after odd and even steps
  DeviceSpan<unsigned> arrivals;    // row blocks: zero
  bool reverse;
};

// In the step's directions, pre_activations has the rows of all steps; hidden is read only; active and stored_row have
// no meaning.
template <class Real>
struct PersistentLayer {
  ForwardStep<Real> step;
  PersistentDirection<Real> directions[2];
  DeviceRows rows;
  index_t batch;
  PersistentSplit split;
};

// The part of a block in its direction.
template <class Real>
struct PersistentBlock {
  const PersistentLayer<Real>& layer;
  const ForwardDirection<Real>& direction;
  const PersistentDirection<Real>& more;
  SharedSpan<Real> weights;  // (4, split.units, stride): zeros behind the last unit
  SharedSpan<Real> hidden;   // (split.rows(), stride): before the step, zeros behind the last unit
  SharedSpan<Real> sums;     // (split.rows(), 4, split.units)
  index_t first_unit, first_row;
  int thread;

  __device__ int units_in_fours() const { return static_cast<int>((layer.step.units + 3) / 4); }
  __device__ index_t step_at(index_t k) const { return more.reverse ? layer.rows.steps - 1 - k : k; }
  // Of all rows of a step; before the first and behind the last step none.
  __device__ index_t active(index_t k) const {
    if (k < 0 || k >= layer.rows.steps) return 0;
    const index_t step = step_at(k);
    return layer.rows.offsets.load(step + 1) - layer.rows.offsets.load(step);
  }
  // Of this block's.
  __device__ int active_here(index_t k) const {
    const index_t here = active(k) - first_row;
    return here < 0 ? 0 : static_cast<int>(here < layer.split.rows() ? here : layer.split.rows());
  }

  __device__ void load_weights() const {
    const PersistentSplit& split = layer.split;
    const int width = 4 * units_in_fours();
    for (int index = thread; index < static_cast<int>(gate_count) * split.units * width; index += split.threads()) {
      const int row = index / width;
      const int k = index - row * width;
      const index_t gate = row / split.units;
      const index_t unit = first_unit + row - static_cast<int>(gate) * split.units;
      const bool exists = unit < layer.step.units && k < layer.step.units;
      weights.store(
          row * split.stride + k,
          exists ? more.hidden_weights.load((gate * layer.step.units + unit) * layer.step.units + k) : Real{0});
    }
  }

  __device__ void load_initial_hidden() const {
    const int width = 4 * units_in_fours();
    for (int index = thread; index < layer.split.rows() * width; index += layer.split.threads()) {
      const int row = index / width;
      const int k = index - row * width;
      const bool exists = first_row + row < layer.batch && k < layer.step.units;
      hidden.store(row * layer.split.stride + k,
                   exists ? direction.hidden.load((first_row + row) * layer.step.units + k) : Real{0});
    }
  }

  // Of the first `rows` rows, as step k - 1 left them.
  __device__ void load_hidden(index_t k, int rows) const {
    const index_t units = layer.step.units;
    const index_t first = ((k % 2) * layer.batch + first_row) * units;
    if (units % 4 == 0) {
      const int fours = units_in_fours();
      for (int index = thread; index < rows * fours; index += layer.split.threads()) {
        const int row = index / fours;
        const int four = 4 * (index - row * fours);
        hidden.store_four(row * layer.split.stride + four,
                          load_four_of_other_block(more.exchange, first + row * units + four));
      }
    } else {
      for (int index = thread; index < rows * static_cast<int>(units); index += layer.split.threads()) {
        const int row = index / static_cast<int>(units);
        const int k_of_row = index - row * static_cast<int>(units);
        hidden.store(row * layer.split.stride + k_of_row, load_of_other_block(more.exchange, first + index));
      }
    }
  }

  // The recurrent part of the pre-activations to `sums`.
  template <int rows_per_thread>
  __device__ void multiply() const {
    const PersistentSplit& split = layer.split;
    const int slice = thread % split.slices;
    const int unit = thread / split.slices % split.units;
    const int row_group = thread / (split.slices * split.units);
    Real totals[rows_per_thread * gate_count] = {};
    for (int four = slice; four < units_in_fours(); four += split.slices) {
      Four<Real> factors[gate_count];
#pragma unroll
      for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
        factors[gate] = weights.load_four((gate * split.units + unit) * split.stride + 4 * four);
      }
#pragma unroll
      for (int k = 0; k < rows_per_thread; ++k) {
        const Four<Real> h = hidden.load_four((row_group + k * split.row_groups) * split.stride + 4 * four);
#pragma unroll
        for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
#pragma unroll
          for (int n = 0; n < 4; ++n) {
            totals[k * gate_count + gate] += factors[gate].values[n] * h.values[n];
          }
        }
      }
    }
    sum_over_lanes(totals, split.slices);
#pragma unroll
    for (int k = 0; k < rows_per_thread; ++k) {
      if (slice != k) continue;
      const int row = row_group + k * split.row_groups;
#pragma unroll
      for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
        sums.store((row * static_cast<int>(gate_count) + gate) * split.units + unit, totals[k * gate_count + gate]);
      }
    }
  }

  template <int rows_per_thread>
  __device__ void run() const;
};

template <class Real>
template <int rows_per_thread>
__device__ void PersistentBlock<Real>::run() const {
  const PersistentSplit& split = layer.split;
  const index_t units = layer.step.units;
  const bool shares_rows = split.unit_blocks > 1;
  const BlockCounter arrivals{more.arrivals, blockIdx.y};
  // The unit of a row that this thread has.
  const int local_unit = thread % split.units;
  const int local_row = thread / split.units;
  const index_t unit = first_unit + local_unit;
  const index_t row = first_row + local_row;
  const index_t state = row * units + unit;
  const bool has_unit = local_row < split.rows() && row < layer.batch && unit < units;

  Real cell{0};
  Real bias[gate_count] = {};
  load_weights();
  load_initial_hidden();
  if (has_unit) {
    cell = direction.cell.load(state);
    more.hidden_final.store(state, direction.hidden.load(state));  // a row without a step keeps it
    for (int gate = 0; gate < static_cast<int>(gate_count); ++gate)
      bias[gate] = direction.bias.load(gate * units + unit);
  }
  for (index_t k = 0; k < layer.rows.steps; ++k) {
    const bool takes_part = has_unit && row < active(k);
    const index_t stored = layer.rows.offsets.load(step_at(k)) + row;
    Real gates[gate_count] = {};
    if (takes_part) {  // early: it depends on no other block
      for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
        gates[gate] = direction.pre_activations.load((stored * gate_count + gate) * units + unit);
      }
    }
    if (k > 0 && shares_rows) {
      if (thread == 0) arrivals.wait_for(static_cast<unsigned>(k) * static_cast<unsigned>(split.unit_blocks));
      synchronize_block();
      const int here = active_here(k);
      const int before = active_here(k - 1);
      load_hidden(k, here < before ? here : before);  // rows that begin with this step still have their initial state
    }
    synchronize_block();
    multiply<rows_per_thread>();
    synchronize_block();
    if (takes_part) {
      for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
        gates[gate] += sums.load((local_row * static_cast<int>(gate_count) + gate) * split.units + local_unit);
        gates[gate] += bias[gate];
      }
      const UnitState<Real> next = advance(layer.step, direction, stored, unit, gates, cell);
      cell = next.cell;
      if (row >= active(k + 1)) {
        more.hidden_final.store(state, next.hidden);
      } else if (shares_rows) {
        more.exchange.store((k + 1) % 2 * layer.batch * units + state, next.hidden);
      } else {
        hidden.store(local_row * split.stride + static_cast<int>(unit), next.hidden);
      }
    }
    if (k + 1 < layer.rows.steps && shares_rows) {
      synchronize_block();
      if (thread == 0) arrivals.arrive();
    }
  }
  if (has_unit) direction.cell.store(state, cell);
}

// grid: as PersistentSplit says; all blocks at once.
template <class Real, int rows_per_thread>
__global__ void __launch_bounds__(most_split_threads) layer_forward(PersistentLayer<Real> layer) {
  const PersistentSplit& split = layer.split;
  const SharedSpan<Real> all = shared_memory<Real>(split.shared_elements());
  const PersistentBlock<Real> block{layer,
                                    layer.step.directions[blockIdx.z],
                                    layer.directions[blockIdx.z],
                                    {all.data, split.weights()},
                                    {all.data + split.weights(), split.hidden()},
                                    {all.data + split.weights() + split.hidden(), split.sums()},
                                    static_cast<index_t>(blockIdx.x) * split.units,
                                    static_cast<index_t>(blockIdx.y) * split.rows(),
                                    static_cast<int>(threadIdx.x)};
  block.template run<rows_per_thread>();
}

}  // namespace lstm_native::cuda
