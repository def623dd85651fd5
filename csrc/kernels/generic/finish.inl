// kernels/generic: gates, cell states and hidden states of a tile, from its products.

// `Cell`: a cell of cells/, over vectors.

// The pre-activations of one vector of units, which are stored gate by gate.
template <class Cell, class Real>
[[gnu::always_inline]] inline Vectors<Real, gate_count> gates_of(const Real* pre_activations) {
  return Cell::activate(
      {{load(pre_activations + input_gate * lanes<Real>), load(pre_activations + forget_gate * lanes<Real>),
        load(pre_activations + cell_candidate * lanes<Real>), load(pre_activations + output_gate * lanes<Real>)}});
}

// The gates and the cell state of one vector of units. Overwrites the input gate's pre-activations with the cell state,
// and the output gate's with the output gate.
template <class Cell, class Real, class Access>
[[gnu::always_inline]] inline void update_cell(const StepRow<Real>& row, index_t units, index_t unit,
                                               Real* pre_activations, Access access) {
  const Vectors<Real, gate_count> gates = gates_of<Cell>(pre_activations);
  const Vector<Real> c = Cell::next_cell(gates, access.read(row.cell + unit));
  access.write(row.cell + unit, c);
  store(pre_activations + input_gate * lanes<Real>, c);
  store(pre_activations + output_gate * lanes<Real>, gates.of[output_gate]);
  if (row.gates_tape != nullptr) write_gates(gates, row.gates_tape, units, unit, access);
  if (row.cell_tape != nullptr) access.write(row.cell_tape + unit, c);
}

// The hidden states of `count` vectors of a tile from `first` on, from what update_cell() wrote. A vector is a block of
// a row.
template <class Cell, class Real, int count, int blocks>
[[gnu::always_inline]] inline void write_hidden(const StepRow<Real>* row, index_t unit, index_t left, int first,
                                                const Real* products) {
  constexpr index_t block_elements = gate_count * lanes<Real>;
  Vectors<Real, count> cells;
  for (int v = 0; v < count; ++v) {
    cells.of[v] = load(products + (first + v) * block_elements + input_gate * lanes<Real>);
  }
  const Vectors<Real, count> activated = Cell::activate_cell(cells);
  for (int v = 0; v < count; ++v) {
    const int b = (first + v) % blocks;
    const Vector<Real> output = load(products + (first + v) * block_elements + output_gate * lanes<Real>);
    Real* to = row[(first + v) / blocks].next_hidden + unit + b * lanes<Real>;
    if (left >= (b + 1) * lanes<Real>) {
      store(to, Cell::hidden(output, activated.of[v]));
    } else {
      store_some(to, Cell::hidden(output, activated.of[v]), left - b * lanes<Real>);
    }
  }
}

// Gates, cell and hidden states of one tile, from its pre-activations.
template <class Cell, class Real, int rows, int blocks>
[[gnu::always_inline]] inline void finish_rows(const StepForward<Real>& step, const StepRow<Real>* row, index_t block,
                                               Real* products) {
  constexpr index_t block_elements = gate_count * lanes<Real>;
  constexpr int vectors = rows * blocks;
  const index_t unit = block * lanes<Real>;
  const index_t left = step.units - unit;
  // Two passes over the tile put independent operations side by side, so that their long chains overlap.
  for (int v = 0; v < vectors; ++v) {
    const int b = v % blocks;
    Real* pre_activations = products + v * block_elements;
    if (left >= (b + 1) * lanes<Real>) {
      update_cell<Cell>(row[v / blocks], step.units, unit + b * lanes<Real>, pre_activations, WholeVector<Real>{});
    } else {
      update_cell<Cell>(row[v / blocks], step.units, unit + b * lanes<Real>, pre_activations,
                        PartialVector<Real>{left - b * lanes<Real>});
    }
  }
  constexpr int group = 3;
  for (int v = 0; v + group <= vectors; v += group) {
    write_hidden<Cell, Real, group, blocks>(row, unit, left, v, products);
  }
  if constexpr (vectors % group > 0) {
    write_hidden<Cell, Real, vectors % group, blocks>(row, unit, left, vectors - vectors % group, products);
  }
}

// The same for any tile and any cell, with loops instead of a copy for each height. If all states are known, it
// computes only the tape's gates.
template <class Cell, class Real>
[[gnu::noinline]] void finish_tile(const Cell& cell, const StepForward<Real>& step, const MultipliedTile<Real>& tile) {
  for (int v = 0; v < tile.rows * tile.blocks; ++v) {
    const StepRow<Real>& row = tile.row[v / tile.blocks];
    const index_t unit = (tile.block + v % tile.blocks) * lanes<Real>;
    const index_t left = step.units - unit;
    const Real* from = tile.products + v * gate_count * lanes<Real>;
    const Vectors<Real, gate_count> pre_activations{
        {load(from + input_gate * lanes<Real>), load(from + forget_gate * lanes<Real>),
         load(from + cell_candidate * lanes<Real>), load(from + output_gate * lanes<Real>)}};
    const auto run = [&](auto access) {
      Vectors<Real, peephole_count> peepholes{};
      if constexpr (Cell::reads_peepholes) peepholes = read_peepholes(step.peepholes, step.units, unit, access);
      if (row.next_hidden == nullptr) {
        Vector<Real> states[2]{};
        if (Cell::reads_peepholes && step.peepholes != nullptr) {
          states[0] = access.read(row.cell + unit);
          states[1] = access.read(row.cell_tape + unit);
        }
        write_gates(cell.kept(pre_activations, states[0], states[1], peepholes), row.gates_tape, step.units, unit,
                    access);
        return;
      }
      const auto next = cell.advance(pre_activations, access.read(row.cell + unit), peepholes);
      access.write(row.cell + unit, next.cell);
      access.write(row.next_hidden + unit, next.hidden);
      if (row.gates_tape != nullptr) write_gates(next.kept, row.gates_tape, step.units, unit, access);
      if (row.cell_tape != nullptr) access.write(row.cell_tape + unit, next.cell);
    };
    if (left >= lanes<Real>) {
      run(WholeVector<Real>{});
    } else {
      run(PartialVector<Real>{left});
    }
  }
}
