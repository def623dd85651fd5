// kernels/generic: the gradients of one vector of units, from that of its hidden state.

// `Cell`: one of cells/, over vectors. activated: what its activate_cell() gives.
template <class Cell, class Real, class Access>
[[gnu::always_inline]] inline void gradients_of_cell(const BackwardRow<Real>& row, index_t units, index_t unit,
                                                     Vector<Real> dh, Vector<Real> activated, Access access) {
  const typename Cell::Step step{read_gates(row.gates, units, unit, access), activated,
                                 access.read(row.cell_before + unit)};
  const auto gradients = Cell::differentiate(step, dh, access.read(row.cell_gradient + unit));
  write_gates(gradients.pre_activations, row.gate_gradients, units, unit, access);
  access.write(row.cell_gradient + unit, gradients.previous_cell);
  if (row.hidden != nullptr) access.write(row.hidden + unit, Cell::hidden(step.gates.of[output_gate], activated));
}
