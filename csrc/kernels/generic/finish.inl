// kernels/generic: what follows the products of a tile: gates, cell states, hidden states.

// Of one vector of units, whose pre-activations lie gate by gate.
template <class Real>
[[gnu::always_inline]] inline GateVectors<Real> gates_of(const Real* pre_activations) {
  return activate<Real>(
      {load(pre_activations + input_gate * lanes<Real>), load(pre_activations + forget_gate * lanes<Real>),
       load(pre_activations + cell_candidate * lanes<Real>), load(pre_activations + output_gate * lanes<Real>)});
}

template <class Real, class Access>
[[gnu::always_inline]] inline void write_gates(const GateVectors<Real>& gates, Real* tape, index_t units, index_t unit,
                                               Access access) {
  access.write(tape + input_gate * units + unit, gates.input);
  access.write(tape + forget_gate * units + unit, gates.forget);
  access.write(tape + cell_candidate * units + unit, gates.candidate);
  access.write(tape + output_gate * units + unit, gates.output);
}

// The gates and the cell state of one vector of units. Leaves the cell state where the input gate's pre-activations
// were, the output gate where its own were.
template <class Real, class Access>
[[gnu::always_inline]] inline void update_cell(const StepRow<Real>& row, index_t units, index_t unit,
                                               Real* pre_activations, Access access) {
  const GateVectors<Real> gates = gates_of(pre_activations);
  const Vector<Real> c = multiply_add(gates.forget, access.read(row.cell + unit), gates.input * gates.candidate);
  access.write(row.cell + unit, c);
  store(pre_activations + input_gate * lanes<Real>, c);
  store(pre_activations + output_gate * lanes<Real>, gates.output);
  if (row.gates_tape != nullptr) write_gates(gates, row.gates_tape, units, unit, access);
  if (row.cell_tape != nullptr) access.write(row.cell_tape + unit, c);
}

// Only the gates, where all states are known. noinline: keeps the usual tile's code small.
template <class Real>
[[gnu::noinline]] void keep_gates(const StepRow<Real>* row, int vectors, int blocks, index_t units, index_t first_unit,
                                  const Real* pre_activations) {
  for (int v = 0; v < vectors; ++v, pre_activations += gate_count * lanes<Real>) {
    const index_t unit = first_unit + v % blocks * lanes<Real>;
    Real* tape = row[v / blocks].gates_tape;
    const GateVectors<Real> gates = gates_of(pre_activations);
    if (units - unit >= lanes<Real>) {
      write_gates(gates, tape, units, unit, WholeVector<Real>{});
    } else {
      write_gates(gates, tape, units, unit, PartialVector<Real>{units - unit});
    }
  }
}

// The hidden states of `count` vectors of a tile from `first` on (a vector is a row's block), from what update_cell()
// left.
template <class Real, int count, int blocks>
[[gnu::always_inline]] inline void write_hidden(const StepRow<Real>* row, index_t unit, index_t left, int first,
                                                const Real* products) {
  constexpr index_t block_elements = gate_count * lanes<Real>;
  Vectors<Real, count> cells;
  for (int v = 0; v < count; ++v) {
    cells.of[v] = load(products + (first + v) * block_elements + input_gate * lanes<Real>);
  }
  const Vectors<Real, count> squashed = tanh(cells);
  for (int v = 0; v < count; ++v) {
    const int b = (first + v) % blocks;
    const Vector<Real> output = load(products + (first + v) * block_elements + output_gate * lanes<Real>);
    Real* to = row[(first + v) / blocks].next_hidden + unit + b * lanes<Real>;
    if (left >= (b + 1) * lanes<Real>) {
      store(to, output * squashed.of[v]);
    } else {
      store_some(to, output * squashed.of[v], left - b * lanes<Real>);
    }
  }
}

// Gates, cell and hidden states of one tile, from its pre-activations.
template <class Real, int rows, int blocks>
[[gnu::always_inline]] inline void finish_rows(const StepForward<Real>& step, const StepRow<Real>* row, index_t block,
                                               Real* products) {
  constexpr index_t block_elements = gate_count * lanes<Real>;
  constexpr int vectors = rows * blocks;
  const index_t unit = block * lanes<Real>;
  const index_t left = step.units - unit;
  // Two passes over the tile: independent operations stand side by side, so that their long chains overlap.
  for (int v = 0; v < vectors; ++v) {
    const int b = v % blocks;
    Real* pre_activations = products + v * block_elements;
    if (left >= (b + 1) * lanes<Real>) {
      update_cell(row[v / blocks], step.units, unit + b * lanes<Real>, pre_activations, WholeVector<Real>{});
    } else {
      update_cell(row[v / blocks], step.units, unit + b * lanes<Real>, pre_activations,
                  PartialVector<Real>{left - b * lanes<Real>});
    }
  }
  constexpr int group = 3;
  for (int v = 0; v + group <= vectors; v += group) {
    write_hidden<Real, group, blocks>(row, unit, left, v, products);
  }
  if constexpr (vectors % group > 0) {
    write_hidden<Real, vectors % group, blocks>(row, unit, left, vectors - vectors % group, products);
  }
}
