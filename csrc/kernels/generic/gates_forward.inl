// kernels/generic: the forward gates of one step (contract: GatesForward in kernel_table.hpp).

// How a vector at the end of a row is read and written: `count` lanes, or all of them.
template <class Real>
struct WholeVector {
  Vector<Real> read(const Real* from) const { return load(from); }
  void write(Real* to, Vector<Real> values) const { store(to, values); }
};

template <class Real>
struct PartialVector {
  index_t count;
  Vector<Real> read(const Real* from) const { return load_some(from, count); }
  void write(Real* to, Vector<Real> values) const { store_some(to, values, count); }
};

template <class Real, class Access>
inline void gates_of_units(const GatesForward<Real>& step, index_t row, index_t unit, Access access) {
  const index_t units = step.units;
  Real* gates = step.gates + row * gate_count * units + unit;
  const Real* bias = step.bias + unit;
  const auto pre_activation = [&](index_t gate) {
    return access.read(gates + gate * units) + access.read(bias + gate * units);
  };
  const Vector<Real> i = sigmoid<Real>(pre_activation(input_gate));
  const Vector<Real> f = sigmoid<Real>(pre_activation(forget_gate));
  const Vector<Real> g = tanh<Real>(pre_activation(cell_candidate));
  const Vector<Real> o = sigmoid<Real>(pre_activation(output_gate));
  Real* cell = step.cell + row * units + unit;
  const Vector<Real> c = multiply_add(f, access.read(cell), i * g);
  const Vector<Real> h = o * tanh<Real>(c);
  access.write(cell, c);
  access.write(step.hidden + row * units + unit, h);
  access.write(step.output + row * step.output_stride + unit, h);
  if (step.cell_tape != nullptr) access.write(step.cell_tape + row * units + unit, c);
  if (step.keep_gates) {
    access.write(gates + input_gate * units, i);
    access.write(gates + forget_gate * units, f);
    access.write(gates + cell_candidate * units, g);
    access.write(gates + output_gate * units, o);
  }
}

template <class Real>
void gates_forward(const GatesForward<Real>& step) {
  for (index_t row = 0; row < step.rows; ++row) {
    index_t unit = 0;
    for (; unit + lanes<Real> <= step.units; unit += lanes<Real>) {
      gates_of_units(step, row, unit, WholeVector<Real>{});
    }
    if (unit < step.units) gates_of_units(step, row, unit, PartialVector<Real>{step.units - unit});
  }
}
