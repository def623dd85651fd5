// cuda: one step, forward or backward, after its recurrent product: all gates of one hidden unit in one thread.
//
// A launch covers the active rows of up to two directions. Consecutive threads have consecutive units of a row, so
// every access of a warp is to consecutive addresses.
#pragma once

#include "cuda/cells.cuh"
#include "cuda/device_span.cuh"
#include "cuda/launch.cuh"
#include "rng/dropout_rule.hpp"

namespace lstm_native::cuda {

// What differs between the calls of a plan. A graph is launched again unchanged, so its kernels read this from device
// memory, as `call` in the structs below.
enum CallWord : index_t { tape_address = 0, dropout_key = 1, dropout_counter = 2, call_words = 3 };

// Where the mask of a layer's outputs begins; the key and counter are the call's.
struct LayerDropout {
  rng::DropoutRule rule;  // never drops: no mask
  std::uint64_t first_position;
};

template <class Real>
struct ForwardDirection {
  DeviceSpan<Real> pre_activations;                      // (rows from the step's first, 4, units), without biases
  DeviceSpan<Real> bias;                                 // (4, units)
  DeviceSpan<Real> hidden, cell;                         // (batch, units): the state, replaced
  index_t active;                                        // rows that take part
  index_t stored_row;                                    // of the first one, in storage
  index_t first_feature;                                 // within an output row
  index_t gates_on_tape, cells_on_tape, hidden_on_tape;  // elements from the tape's beginning; -1: not kept
};

template <class Real>
struct ForwardStep {
  ForwardDirection<Real> directions[2];
  DeviceSpan<Real> output;  // (stored rows, output_width): dropout applied
  DeviceSpan<std::uint64_t> call;
  index_t units, output_width, tape_elements;
  LayerDropout dropout;
};

template <class Real>
struct BackwardDirection {
  DeviceSpan<Real> hidden_gradient;  // (batch, units): of the state after the step, but for output_gradient
  DeviceSpan<Real> cell_gradient;    // (batch, units): replaced by that of the cell state before the step
  DeviceSpan<Real> cell_initial;     // (batch, units)
  DeviceSpan<Real> gate_gradients;   // (stored rows, 4, units), of the pre-activations: written
  index_t active, stored_row, first_feature;
  index_t before_active, before_stored_row;  // the rows that have an earlier step, and where its first row is stored
  index_t gates_on_tape, cells_on_tape;
};

template <class Real>
struct BackwardStep {
  BackwardDirection<Real> directions[2];
  DeviceSpan<Real> output_gradient;  // (stored rows, output_width): of the outputs after dropout
  DeviceSpan<std::uint64_t> call;
  index_t units, output_width, tape_elements;
  LayerDropout dropout;
};

template <class Real>
__device__ DeviceSpan<Real> tape_of(const DeviceSpan<std::uint64_t>& call, index_t elements) {
  return {reinterpret_cast<Real*>(call.load(tape_address)), elements};
}

// A value, or its gradient, after the mask.
template <class Real>
__device__ Real dropped(Real value, const LayerDropout& dropout, const DeviceSpan<std::uint64_t>& call,
                        index_t position) {
  if (dropout.rule.threshold == 0) return value;
  const std::uint64_t at = dropout.first_position + static_cast<std::uint64_t>(position);
  return rng::drops(dropout.rule, at, call.load(dropout_key), call.load(dropout_counter))
             ? Real{0}
             : value * static_cast<Real>(dropout.rule.scale);
}

// One unit's step: its activated gates, and its next state.
template <class Real>
struct UnitStep {
  UnitGates<Real> gates;
  Real hidden, cell;
};

// pre_activations: biases added.
template <class Real>
__device__ UnitStep<Real> advance(const UnitGates<Real>& pre_activations, Real previous_cell) {
  UnitStep<Real> next;
  next.gates = UnitCell<Real>::activate(pre_activations);
  next.cell = UnitCell<Real>::next_cell(next.gates, previous_cell);
  next.hidden = hidden_of(next.gates.of[output_gate], next.cell);
  return next;
}

// Writes a unit's step to output and tape. stored: the row in storage.
template <class Real>
__device__ void record(const ForwardStep<Real>& step, const ForwardDirection<Real>& direction, index_t stored,
                       index_t unit, const UnitStep<Real>& values) {
  const index_t at = stored * step.output_width + direction.first_feature + unit;
  step.output.store(at, dropped(values.hidden, step.dropout, step.call, at));
  if (direction.cells_on_tape < 0) return;
  const DeviceSpan<Real> tape = tape_of<Real>(step.call, step.tape_elements);
  tape.store(direction.cells_on_tape + stored * step.units + unit, values.cell);
  if (direction.hidden_on_tape >= 0) {
    tape.store(direction.hidden_on_tape + stored * step.units + unit, values.hidden);
    return;
  }
  const index_t first = direction.gates_on_tape + stored * gate_count * step.units + unit;
  for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
    tape.store(first + gate * step.units, values.gates.of[gate]);
  }
}

// columns: rows times units; layers: directions.
template <class Real>
__global__ void __launch_bounds__(block_threads) gates_forward(ForwardStep<Real> step) {
  const ForwardDirection<Real>& direction = step.directions[blockIdx.z];
  const index_t column = column_of_thread();
  if (column >= direction.active * step.units) return;
  const index_t row =
      static_cast<unsigned>(column) / static_cast<unsigned>(step.units);  // the plan checks that 32 bits suffice
  const index_t unit = column - row * step.units;
  UnitGates<Real> gates;
  for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
    gates.of[gate] = direction.pre_activations.load((row * gate_count + gate) * step.units + unit) +
                     direction.bias.load(gate * step.units + unit);
  }
  const UnitStep<Real> next = advance(gates, direction.cell.load(column));
  record(step, direction, direction.stored_row + row, unit, next);
  direction.cell.store(column, next.cell);
  direction.hidden.store(column, next.hidden);
}

// Where one unit's step backward finds what it reads.
struct UnitPlace {
  index_t stored;  // the row in storage
  index_t before;  // the row of the step before, with the cell state that this step began with; -1: the initial one
  index_t state;   // the row's and unit's element of a state
  index_t unit;
};

// What one unit's step backward reads, except the gradients of the next step.
template <class Real>
struct UnitTape {
  UnitGates<Real> gates;
  Real cell, previous_cell, output_gradient;
};

template <class Real>
__device__ UnitTape<Real> load_unit(const BackwardStep<Real>& step, const BackwardDirection<Real>& direction,
                                    const UnitPlace& place) {
  const DeviceSpan<Real> tape = tape_of<Real>(step.call, step.tape_elements);
  const index_t first = direction.gates_on_tape + place.stored * gate_count * step.units + place.unit;
  UnitTape<Real> loaded;
  for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
    loaded.gates.of[gate] = tape.load(first + gate * step.units);
  }
  loaded.cell = tape.load(direction.cells_on_tape + place.stored * step.units + place.unit);
  loaded.previous_cell = place.before < 0 ? direction.cell_initial.load(place.state)
                                          : tape.load(direction.cells_on_tape + place.before * step.units + place.unit);
  loaded.output_gradient = Real{0};
  if (step.output_gradient.data != nullptr) {
    const index_t at = place.stored * step.output_width + direction.first_feature + place.unit;
    loaded.output_gradient = dropped(step.output_gradient.load(at), step.dropout, step.call, at);
  }
  return loaded;
}

// Gradients of the pre-activations, and of the cell state before the step.
template <class Real>
using UnitGradients = typename UnitCell<Real>::Gradients;

// One unit's step backward. Both gradients are of the state after the step, hidden_gradient without the output's.
template <class Real>
__device__ UnitGradients<Real> differentiate(const UnitTape<Real>& unit, Real hidden_gradient, Real cell_gradient) {
  const Real tanh_c = UnitCell<Real>::activate_cell(UnitValues<Real, 1>{{unit.cell}}).of[0];
  return UnitCell<Real>::differentiate({unit.gates, tanh_c, unit.previous_cell}, hidden_gradient + unit.output_gradient,
                                       cell_gradient);
}

// columns: rows times units; layers: directions.
template <class Real>
__global__ void __launch_bounds__(block_threads) gates_backward(BackwardStep<Real> step) {
  const BackwardDirection<Real>& direction = step.directions[blockIdx.z];
  const index_t column = column_of_thread();
  if (column >= direction.active * step.units) return;
  const index_t row = static_cast<unsigned>(column) / static_cast<unsigned>(step.units);
  const index_t unit = column - row * step.units;
  const index_t stored = direction.stored_row + row;
  const index_t before = row < direction.before_active ? direction.before_stored_row + row : -1;
  const UnitTape<Real> loaded = load_unit(step, direction, {stored, before, column, unit});
  const UnitGradients<Real> gradients =
      differentiate(loaded, direction.hidden_gradient.load(column), direction.cell_gradient.load(column));
  for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
    direction.gate_gradients.store((stored * gate_count + gate) * step.units + unit,
                                   gradients.pre_activations.of[gate]);
  }
  direction.cell_gradient.store(column, gradients.previous_cell);
}

}  // namespace lstm_native::cuda
