// kernels/generic: the gradients of one vector of units, from that of its hidden state.

template <class Real, class Access>
[[gnu::always_inline]] inline void gradients_of_cell(const BackwardRow<Real>& row, index_t units, index_t unit,
                                                     Vector<Real> dh, Vector<Real> squashed, Access access) {
  const Real one{1};
  const Vector<Real> i = access.read(row.gates + input_gate * units + unit);
  const Vector<Real> f = access.read(row.gates + forget_gate * units + unit);
  const Vector<Real> g = access.read(row.gates + cell_candidate * units + unit);
  const Vector<Real> o = access.read(row.gates + output_gate * units + unit);
  const Vector<Real> dc = multiply_add(dh * o, one - squashed * squashed, access.read(row.cell_gradient + unit));
  const Vector<Real> before = access.read(row.cell_before + unit);
  access.write(row.gate_gradients + input_gate * units + unit, dc * g * (i * (one - i)));
  access.write(row.gate_gradients + forget_gate * units + unit, dc * before * (f * (one - f)));
  access.write(row.gate_gradients + cell_candidate * units + unit, dc * i * (one - g * g));
  access.write(row.gate_gradients + output_gate * units + unit, dh * squashed * (o * (one - o)));
  access.write(row.cell_gradient + unit, dc * f);
  if (row.hidden != nullptr) access.write(row.hidden + unit, o * squashed);
}
