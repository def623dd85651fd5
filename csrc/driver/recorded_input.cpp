#include "driver/recorded_input.hpp"

#include <algorithm>

#include "driver/masks.hpp"

namespace lstm_native::driver {
namespace {

using plan::Span;

template <class Real>
void store_recorded_hidden(const BackwardMemory<Real>& memory, index_t layer, Span rows, Real* to) {
  const plan::Problem& problem = memory.problem();
  const index_t width = problem.layer_output_size();
  const index_t units = problem.output_size;
  for (index_t d = 0; d < problem.num_directions; ++d) {
    const Real* hidden = memory.forward.tape + memory.tape.hidden(layer, d);
    for (index_t r = rows.begin; r < rows.end; ++r) {
      std::copy(hidden + r * units, hidden + (r + 1) * units, to + r * width + d * units);
    }
  }
}

// From the gates and cell states.
template <class Real>
void compute_hidden(const BackwardMemory<Real>& memory, index_t layer, Span rows, Real* to) {
  const plan::Problem& problem = memory.problem();
  const index_t units = problem.output_size;
  const Real* tape = memory.forward.tape;
  for (index_t d = 0; d < problem.num_directions; ++d) {
    kernels::HiddenStates<Real> states;
    states.gate_stride = gate_count * units;
    states.cell_stride = units;
    states.output_gates = tape + memory.tape.gates(layer, d) + rows.begin * states.gate_stride +
                          static_cast<index_t>(output_gate) * units;
    states.cells = tape + memory.tape.cells(layer, d) + rows.begin * units;
    states.stride = problem.layer_output_size();
    states.to = to + rows.begin * states.stride + d * units;
    states.rows = rows.size();
    states.units = units;
    states.cell = problem.cell;
    plan::kernels_of<Real>(memory.plan.forward).backward.hidden_states(states);
  }
}

template <class Real>
void store_outputs(const BackwardMemory<Real>& memory, index_t layer, Span rows, Real* to) {
  if (memory.forward.tape_form == plan::TapeForm::hidden) {
    store_recorded_hidden(memory, layer, rows, to);
  } else {
    compute_hidden(memory, layer, rows, to);
  }
  if (memory.forward.dropout.probability > 0.0) {
    mask_rows(memory.plan.forward, memory.forward.dropout, layer, rows, to);
  }
}

// The caller's.
template <class Real>
void gather_input(const BackwardMemory<Real>& memory, const Team& team, Watch& watch) {
  const plan::Problem& problem = memory.problem();
  const plan::ActiveRows& rows = memory.plan.forward.rows;
  for (index_t step = team.index; step < problem.seq_len; step += team.size) {
    const index_t count = rows.count(step);
    for (index_t r = 0; r < count; ++r) {
      if (watch.stops(problem.input_size * copy_work)) return;
      const Real* from = rows.locate(memory.forward.input, step, r);
      std::copy(from, from + problem.input_size, rows.locate_stored(memory.layer_input(), problem.input_size, step, r));
    }
  }
}

}  // namespace

template <class Real>
void store_layer_input(const BackwardMemory<Real>& memory, index_t layer, const Team& team, Watch& watch) {
  if (layer == 0) {
    gather_input(memory, team, watch);
    return;
  }
  const index_t element_work = memory.forward.dropout.probability > 0.0 ? mask_work : copy_work;
  run_in_parts(memory.plan.forward.rows.total(), team, memory.problem().layer_output_size() * element_work, watch,
               [&](Span rows) { store_outputs(memory, layer - 1, rows, memory.layer_input()); });
}

template void store_layer_input<float>(const BackwardMemory<float>&, index_t, const Team&, Watch&);
template void store_layer_input<double>(const BackwardMemory<double>&, index_t, const Team&, Watch&);

}  // namespace lstm_native::driver
