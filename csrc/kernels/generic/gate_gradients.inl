// kernels/generic: the gradients of one vector of units, from the gradient of its hidden state in the sums.

// `Cell`: a cell of cells/, over vectors. activated: the result of its activate_cell().
template <class Cell, class Real, class Access>
[[gnu::always_inline]] inline void gradients_of_cell(const Cell& cell, const StepBackward<Real>& of,
                                                     const BackwardRow<Real>& row, index_t unit, Vector<Real> activated,
                                                     Access access) {
  typename Cell::Step step{read_gates(row.gates, of.units, unit, access), activated,
                           access.read(row.previous_cell + unit)};
  if constexpr (Cell::reads_peepholes) {
    step.cell = access.read(row.cell + unit);
    step.peepholes = read_peepholes(of.peepholes, of.units, unit, access);
  }
  const auto gradients = cell.differentiate(step, load(row.sums + unit), access.read(row.cell_gradient + unit));
  write_gates(gradients.pre_activations, row.gate_gradients, of.units, unit, access);
  access.write(row.cell_gradient + unit, gradients.previous_cell);
  if (row.hidden != nullptr) {
    access.write(row.hidden + unit, cell.recorded_hidden(step.gates.of[output_gate], activated));
  }
}
