// cuda: all steps of a layer backward in one launch.
#pragma once

#include "cuda/gates.cuh"
#include "cuda/persistent_block.cuh"

namespace lstm_native::cuda {

template <class Real>
struct BackwardLayerDirection {
  DeviceSpan<Real> hidden_weights;  // (4, units, units)
  DeviceSpan<unsigned> arrivals;    // row blocks: zero
};

// In the step's directions, active, stored_row, before_active and before_stored_row have no meaning.
template <class Real>
struct BackwardLayer {
  BackwardStep<Real> step;
  BackwardLayerDirection<Real> directions[2];
  DeviceRows rows;
  index_t batch;
  bool wants_states;  // the gradients of the initial states
  PersistentSplit split;
};

// grid: as PersistentSplit says; all blocks at once. The tile: the gates' gradients, a part per gate.
template <class Real, int rows_per_thread>
__global__ void __launch_bounds__(most_split_threads, 1) layer_backward(BackwardLayer<Real> layer) {
  const BackwardDirection<Real>& direction = layer.step.directions[blockIdx.z];
  const BackwardLayerDirection<Real>& more = layer.directions[blockIdx.z];
  const PersistentBlock<Real> block(layer.split, layer.rows, layer.step.units, layer.batch, blockIdx.z == 0);
  const BlockCounter arrivals{more.arrivals, blockIdx.y};
  const index_t units = layer.step.units;
  const index_t row = block.row();
  const index_t unit = block.unit();
  const index_t state = row * units + unit;
  const index_t last = layer.wants_states ? layer.rows.steps : layer.rows.steps - 1;
  // A thread multiplies a gate's gradients with the weights of four units.
  const int quarter = layer.split.units / 4;
  const int gate_of_thread = block.column_group() / quarter;
  const int first_column = gate_of_thread * layer.split.units + block.column_group() % quarter;

  block.template load_weights<true>(more.hidden_weights);
  block.clear_tile();
  if (!block.shares_rows()) synchronize_block();  // the first step writes gradients there
  Real cell_gradient = block.has_unit() ? direction.cell_gradient.load(state) : Real{0};
  for (index_t k = 0; k <= last; ++k) {
    const bool takes_part = block.has_unit() && row < block.active(k);
    const bool took_part = block.has_unit() && row < block.active(k - 1);
    UnitTape<Real> unit_tape{};
    index_t stored = 0;
    if (takes_part) {  // early, because it depends on no other block
      stored = block.stored_row(k) + row;
      const index_t before = row < block.active(k + 1) ? block.stored_row(k + 1) + row : -1;
      unit_tape = load_unit(layer.step, direction, {stored, before, state, unit});
    }
    if (k > 0) {
      if (block.shares_rows()) {
        if (block.thread == 0) {
          arrivals.wait_for(static_cast<unsigned>(k) * static_cast<unsigned>(layer.split.unit_blocks));
        }
        synchronize_block();
        block.load_tile(direction.gate_gradients, (block.stored_row(k - 1) + block.first_row) * gate_count * units,
                        block.active_here(k - 1));
      }
      synchronize_block();
      block.template multiply<rows_per_thread>(first_column, quarter, gate_of_thread);
      synchronize_block();
    }
    Real hidden_gradient{0};
    if (took_part) {
      for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) hidden_gradient += block.sum(gate);
    } else if (takes_part) {
      hidden_gradient = direction.hidden_gradient.load(state);
    }
    if (takes_part) {
      const UnitGradients<Real> gradients = differentiate(unit_tape, hidden_gradient, cell_gradient);
      cell_gradient = gradients.previous_cell;
      for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
        direction.gate_gradients.store((stored * gate_count + gate) * units + unit, gradients.pre_activations.of[gate]);
        if (!block.shares_rows()) {
          const int part = block.local_row() * static_cast<int>(gate_count) + gate;
          block.tile.store(part * layer.split.stride + static_cast<int>(unit), gradients.pre_activations.of[gate]);
        }
      }
    } else if (took_part) {
      direction.hidden_gradient.store(state, hidden_gradient);
    }
    if (k < last && block.shares_rows()) {
      synchronize_block();
      if (block.thread == 0) arrivals.arrive();
    }
  }
  if (block.has_unit() && layer.wants_states) direction.cell_gradient.store(state, cell_gradient);
}

}  // namespace lstm_native::cuda
