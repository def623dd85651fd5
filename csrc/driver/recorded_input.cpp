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
  for (index_t d = 0; d < problem.num_directions; ++d) {
    const StoredRows<const Real> hidden = memory.recorded_hidden(layer, d);
    for (index_t r = rows.begin; r < rows.end; ++r) {
      std::copy(hidden.row(r), hidden.row(r + 1), to + r * width + d * hidden.width);
    }
  }
}

// The outputs of a direction's cells, from the gates and cell states. to: the layer's rows, which are overwritten from
// row `first` on.
template <class Real>
void compute_cell_outputs(const BackwardMemory<Real>& memory, index_t layer, index_t direction, Span rows,
                          const StoredRows<Real>& to, index_t first) {
  const plan::Problem& problem = memory.problem();
  const StoredRows<const Real> gates = memory.recorded_gates(layer, direction);
  const StoredRows<const Real> cells = memory.recorded_cells(layer, direction);
  kernels::HiddenStates<Real> states;
  states.gate_stride = gates.width;
  states.cell_stride = cells.width;
  states.output_gates = gates.row(rows.begin) + static_cast<index_t>(output_gate) * problem.cell_size;
  states.cells = cells.row(rows.begin);
  states.stride = to.width;
  states.to = to.row(rows.begin) + first;
  states.rows = rows.size();
  states.units = problem.cell_size;
  states.cell = problem.cells[static_cast<std::size_t>(direction)];
  plan::kernels_of<Real>(memory.plan.forward).backward.hidden_states(states);
}

template <class Real>
void store_outputs(const BackwardMemory<Real>& memory, index_t layer, Span rows, Real* to) {
  const plan::Problem& problem = memory.problem();
  if (memory.forward.tape_form == plan::TapeForm::hidden || problem.projects()) {
    store_recorded_hidden(memory, layer, rows, to);
  } else {
    const StoredRows<Real> outputs{to, problem.layer_output_size()};
    for (index_t d = 0; d < problem.num_directions; ++d) {
      compute_cell_outputs(memory, layer, d, rows, outputs, d * problem.output_size);
    }
  }
  if (memory.forward.dropout.probability > 0.0) {
    mask_rows(memory.plan.forward, memory.forward.dropout, layer, rows, to);
  }
}

// The caller's.
template <class Real>
void gather_input(const BackwardMemory<Real>& memory, const Team& team, CancellationPoll& poll) {
  const plan::ActiveRows& rows = memory.plan.forward.rows;
  const StoredRows<Real> to{memory.layer_input(), memory.problem().input_size};
  for (index_t step = team.index; step < memory.problem().seq_len; step += team.size) {
    const index_t count = rows.count(step);
    for (index_t r = 0; r < count; ++r) {
      if (poll.cancelled(to.width * copy_work)) return;
      const Real* from = rows.locate(memory.forward.input, step, r);
      std::copy(from, from + to.width, to.row(rows.stored(step, r)));
    }
  }
}

}  // namespace

template <class Real>
void store_layer_input(const BackwardMemory<Real>& memory, index_t layer, const Team& team, CancellationPoll& poll) {
  if (layer == 0) {
    gather_input(memory, team, poll);
    return;
  }
  const index_t element_work = memory.forward.dropout.probability > 0.0 ? mask_work : copy_work;
  run_between_polls(memory.plan.forward.rows.total(), team, memory.problem().layer_output_size() * element_work, poll,
                    [&](Span rows) { store_outputs(memory, layer - 1, rows, memory.layer_input()); });
}

template <class Real>
void store_cell_outputs(const BackwardMemory<Real>& memory, index_t layer, const Team& team, CancellationPoll& poll) {
  const plan::Problem& problem = memory.problem();
  run_between_polls(memory.plan.forward.rows.total(), team, problem.num_directions * problem.cell_size * copy_work,
                    poll, [&](Span rows) {
                      for (index_t d = 0; d < problem.num_directions; ++d) {
                        compute_cell_outputs(memory, layer, d, rows, memory.cell_outputs(d), /*first=*/0);
                      }
                    });
}

template void store_cell_outputs<float>(const BackwardMemory<float>&, index_t, const Team&, CancellationPoll&);
template void store_cell_outputs<double>(const BackwardMemory<double>&, index_t, const Team&, CancellationPoll&);
template void store_layer_input<float>(const BackwardMemory<float>&, index_t, const Team&, CancellationPoll&);
template void store_layer_input<double>(const BackwardMemory<double>&, index_t, const Team&, CancellationPoll&);

}  // namespace lstm_native::driver
