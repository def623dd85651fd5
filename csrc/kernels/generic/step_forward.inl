// kernels/generic: one step forward with packed weights (contract: StepForward in kernel_table.hpp).

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

// The gates and the cell state of one vector of units. Leaves the cell state where the input gate's pre-activations
// were, the output gate where its own were.
template <class Real, class Access>
[[gnu::always_inline]] inline void update_cell(const StepRow<Real>& row, index_t units, index_t unit,
                                               Real* pre_activations, Access access) {
  const GateVectors<Real> gates = activate<Real>(
      {load(pre_activations + input_gate * lanes<Real>), load(pre_activations + forget_gate * lanes<Real>),
       load(pre_activations + cell_candidate * lanes<Real>), load(pre_activations + output_gate * lanes<Real>)});
  const Vector<Real> c = multiply_add(gates.forget, access.read(row.cell + unit), gates.input * gates.candidate);
  access.write(row.cell + unit, c);
  store(pre_activations + input_gate * lanes<Real>, c);
  store(pre_activations + output_gate * lanes<Real>, gates.output);
  if (row.gates_tape != nullptr) {
    access.write(row.gates_tape + input_gate * units + unit, gates.input);
    access.write(row.gates_tape + forget_gate * units + unit, gates.forget);
    access.write(row.gates_tape + cell_candidate * units + unit, gates.candidate);
    access.write(row.gates_tape + output_gate * units + unit, gates.output);
  }
  if (row.cell_tape != nullptr) access.write(row.cell_tape + unit, c);
}

// The tile's hidden states, from what update_cell() left.
template <class Real, int rows, int blocks>
[[gnu::always_inline]] inline Vectors<Real, rows * blocks> hidden_states(const Real* products) {
  constexpr int count = rows * blocks;
  Vectors<Real, count> cells;
  for (int v = 0; v < count; ++v) cells.of[v] = load(products + (v * gate_count + input_gate) * lanes<Real>);
  Vectors<Real, count> hidden = tanh(cells);
  for (int v = 0; v < count; ++v) {
    hidden.of[v] = load(products + (v * gate_count + output_gate) * lanes<Real>) * hidden.of[v];
  }
  return hidden;
}

// Calls body(r, b, access) for every vector of the tile, the last of which may be partial.
template <class Real, int rows, int blocks, class Body>
[[gnu::always_inline]] inline void for_each_vector(index_t units_left, const Body& body) {
  if (units_left >= blocks * lanes<Real>) {
    for (int r = 0; r < rows; ++r) {
      for (int b = 0; b < blocks; ++b) body(r, b, WholeVector<Real>{});
    }
    return;
  }
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks; ++b) {
      const index_t left = units_left - b * lanes<Real>;
      body(r, b, PartialVector<Real>{left < lanes<Real> ? left : lanes<Real>});
    }
  }
}

template <class Real, class Weight, Start start, bool with_input, bool with_hidden>
struct StepTile {
  template <int rows, int blocks>
  static void run(const StepForward<Real>& step, const StepRow<Real>* row, index_t block) {
    constexpr index_t block_elements = gate_count * lanes<Real>;
    alignas(64) Real products[rows * blocks * block_elements];
    Real* to[rows];
    for (int r = 0; r < rows; ++r) to[r] = products + r * blocks * block_elements;
    tile_products<Real, Weight, rows, blocks, start, with_input, with_hidden>(step, row, block, to);
    const index_t unit = block * lanes<Real>;
    const index_t left = step.units - unit;
    for_each_vector<Real, rows, blocks>(left, [&](int r, int b, auto access) {
      update_cell(row[r], step.units, unit + b * lanes<Real>, to[r] + b * block_elements, access);
    });
    const Vectors<Real, rows * blocks> hidden = hidden_states<Real, rows, blocks>(products);
    for_each_vector<Real, rows, blocks>(left, [&](int r, int b, auto access) {
      access.write(row[r].next_hidden + unit + b * lanes<Real>, hidden.of[r * blocks + b]);
    });
  }
};

template <class Real, class Weight>
struct ProjectionTile {
  template <int rows, int blocks>
  static void run(const StepForward<Real>& step, const StepRow<Real>* row, index_t block) {
    Real* to[rows];
    for (int r = 0; r < rows; ++r) to[r] = row[r].pre_activations + block * gate_count * lanes<Real>;
    tile_products<Real, Weight, rows, blocks, Start::bias, true, false>(step, row, block, to);
  }
};

// Each block's weights are read once for all rows. Two blocks at a time where one row alone would leave the
// multiply-add units waiting for each other's results.
template <class Real, class Tile>
void for_each_tile_of_step(const StepForward<Real>& step) {
  for_each_block(step.first_block, step.end_block, step.row_count == 1, step.backwards,
                 [&](index_t blocks, index_t block) {
                   if (blocks == 2) {
                     Tile::template run<1, 2>(step, step.rows, block);
                     return;
                   }
                   for_each_tile(step.row_count, [&](auto height, index_t first) {
                     Tile::template run<decltype(height)::value, 1>(step, step.rows + first, block);
                   });
                 });
}

template <class Real, class Weight>
void step_forward(const StepForward<Real>& step) {
  if (step.input_weights != nullptr) {
    for_each_tile_of_step<Real, StepTile<Real, Weight, Start::bias, true, true>>(step);
  } else if (step.hidden_weights == nullptr) {
    if (step.bias == nullptr) {
      for_each_tile_of_step<Real, StepTile<Real, Weight, Start::pre_activations, false, false>>(step);
    } else {
      for_each_tile_of_step<Real, StepTile<Real, Weight, Start::both, false, false>>(step);
    }
  } else if (step.bias == nullptr) {
    for_each_tile_of_step<Real, StepTile<Real, Weight, Start::pre_activations, false, true>>(step);
  } else {
    for_each_tile_of_step<Real, StepTile<Real, Weight, Start::both, false, true>>(step);
  }
}

template <class Real, class Weight>
void project(const StepForward<Real>& step) {
  for_each_tile_of_step<Real, ProjectionTile<Real, Weight>>(step);
}
