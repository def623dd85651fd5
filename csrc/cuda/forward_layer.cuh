// cuda: all steps of a layer forward in one launch.
#pragma once

#include "cuda/gates.cuh"
#include "cuda/persistent_block.cuh"

namespace lstm_native::cuda {

template <class Real>
struct ForwardLayerDirection {
  DeviceSpan<Real> hidden_weights;  // (4, units, units)
  DeviceSpan<Real> hidden_final;    // (batch, units): written
  DeviceSpan<Real> exchange;        // (2, batch, units): hidden states after odd and even steps
  DeviceSpan<unsigned> arrivals;    // row blocks: zero
};

// In the step's directions, pre_activations has the rows of all steps; hidden is read only; active and stored_row have
// no meaning.
template <class Real>
struct ForwardLayer {
  ForwardStep<Real> step;
  ForwardLayerDirection<Real> directions[2];
  DeviceRows rows;
  index_t batch;
  PersistentSplit split;
};

template <class Real>
__device__ void load_initial_hidden(const PersistentBlock<Real>& block, const DeviceSpan<Real>& hidden) {
  const int width = 4 * block.units_in_fours();
  for (int index = block.thread; index < block.split.rows() * width; index += block.split.threads()) {
    const int row = index / width;
    const int k = index - row * width;
    const bool exists = block.first_row + row < block.batch && k < block.units;
    block.tile.store(row * block.split.stride + k,
                     exists ? hidden.load((block.first_row + row) * block.units + k) : Real{0});
  }
}

// grid: as PersistentSplit says; all blocks at once. The tile: hidden states.
template <class Real, int rows_per_thread>
__global__ void __launch_bounds__(most_split_threads, 1) layer_forward(ForwardLayer<Real> layer) {
  const ForwardDirection<Real>& direction = layer.step.directions[blockIdx.z];
  const ForwardLayerDirection<Real>& more = layer.directions[blockIdx.z];
  const PersistentBlock<Real> block(layer.split, layer.rows, layer.step.units, layer.batch, blockIdx.z == 1);
  const BlockCounter arrivals{more.arrivals, blockIdx.y};
  const index_t units = layer.step.units;
  const index_t steps = layer.rows.steps;
  const index_t row = block.row();
  const index_t unit = block.unit();
  const index_t state = row * units + unit;

  Real cell{0};
  Real bias[gate_count] = {};
  block.template load_weights<false>(more.hidden_weights);
  load_initial_hidden(block, direction.hidden);
  if (block.has_unit()) {
    cell = direction.cell.load(state);
    more.hidden_final.store(state, direction.hidden.load(state));  // a row without a step keeps it
    for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
      bias[gate] = direction.bias.load(gate * units + unit);
    }
  }
  UnitGates<Real> gates{};
  const auto load_pre_activations = [&](index_t k) {
    if (!block.has_unit() || row >= block.active(k)) return;
    const index_t stored = block.stored_row(k) + row;
    for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
      gates.of[gate] = direction.pre_activations.load((stored * gate_count + gate) * units + unit);
    }
  };
  load_pre_activations(0);
  for (index_t k = 0; k < steps; ++k) {
    const bool takes_part = block.has_unit() && row < block.active(k);
    const index_t stored = block.stored_row(k) + row;
    if (k > 0 && block.shares_rows()) {
      if (block.thread == 0)
        arrivals.wait_for(static_cast<unsigned>(k) * static_cast<unsigned>(layer.split.unit_blocks));
      synchronize_block();
      // Rows that begin with this step still have their initial state.
      const int here = block.active_here(k);
      const int before = block.active_here(k - 1);
      block.load_tile(more.exchange, (k % 2 * layer.batch + block.first_row) * units, here < before ? here : before);
    }
    synchronize_block();
    block.template multiply<rows_per_thread>(block.column_group(), layer.split.units, 0);
    synchronize_block();
    UnitStep<Real> next{};
    if (takes_part) {
      for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) gates.of[gate] += block.sum(gate) + bias[gate];
      next = advance(gates, cell);
      cell = next.cell;
      if (row >= block.active(k + 1)) {
        more.hidden_final.store(state, next.hidden);
      } else if (block.shares_rows()) {
        more.exchange.store((k + 1) % 2 * layer.batch * units + state, next.hidden);
      } else {
        block.tile.store(block.local_row() * layer.split.stride + static_cast<int>(unit), next.hidden);
      }
    }
    if (k + 1 < steps && block.shares_rows()) {
      synchronize_block();
      if (block.thread == 0) arrivals.arrive();
    }
    load_pre_activations(k + 1);  // early, because they depend on no other block
    // Late, because no other block waits for the output and the tape.
    if (takes_part) record(layer.step, direction, stored, unit, next);
  }
  if (block.has_unit()) direction.cell.store(state, cell);
}

}  // namespace lstm_native::cuda
