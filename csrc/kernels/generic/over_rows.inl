// kernels/generic: passes over many rows (contracts: HiddenStates and the sums in backward_arguments.hpp).

template <class Cell, class Real>
void hidden_states_of(const Cell& cell, const HiddenStates<Real>& states) {
  for (index_t r = 0; r < states.rows; ++r) {
    const Real* o = states.output_gates + r * states.gate_stride;
    const Real* c = states.cells + r * states.cell_stride;
    Real* to = states.to + r * states.stride;
    index_t k = 0;
    for (; k + 2 * lanes<Real> <= states.units; k += 2 * lanes<Real>) {
      const auto activated = cell.activate_cell(Vectors<Real, 2>{{load(c + k), load(c + k + lanes<Real>)}});
      store(to + k, cell.recorded_hidden(load(o + k), activated.of[0]));
      store(to + k + lanes<Real>, cell.recorded_hidden(load(o + k + lanes<Real>), activated.of[1]));
    }
    for (; k < states.units; k += lanes<Real>) {
      const index_t left = states.units - k < lanes<Real> ? states.units - k : lanes<Real>;
      const auto activated = cell.activate_cell(Vectors<Real, 1>{{load_some(c + k, left)}});
      store_some(to + k, cell.recorded_hidden(load_some(o + k, left), activated.of[0]), left);
    }
  }
}

template <class Real>
void hidden_states(const HiddenStates<Real>& states) {
  with_cell<VectorArithmetic<Real>>(states.cell, [&](const auto& cell) { hidden_states_of(cell, states); });
}

template <class Real>
void sum_of_products(const SumOfProducts<Real>& sum) {
  for (index_t k = 0; k < sum.columns; k += lanes<Real>) {
    const index_t left = sum.columns - k < lanes<Real> ? sum.columns - k : lanes<Real>;
    Vector<Real> total = load_some(sum.to + k, left);
    for (index_t r = 0; r < sum.rows; ++r) {
      total = multiply_add(load_some(sum.left + r * sum.left_stride + k, left),
                           load_some(sum.right + r * sum.right_stride + k, left), total);
    }
    store_some(sum.to + k, total, left);
  }
}

template <class Real>
void sum_of_rows(const SumOfRows<Real>& sum) {
  constexpr index_t together = 8;
  index_t k = 0;
  for (; k + together * lanes<Real> <= sum.columns; k += together * lanes<Real>) {
    Vector<Real> sums[together];
    for (index_t v = 0; v < together; ++v) sums[v] = load(sum.to + k + v * lanes<Real>);
    for (index_t r = 0; r < sum.rows; ++r) {
      const Real* from = sum.from + r * sum.row_stride + k;
      for (index_t v = 0; v < together; ++v) sums[v] += load(from + v * lanes<Real>);
    }
    for (index_t v = 0; v < together; ++v) store(sum.to + k + v * lanes<Real>, sums[v]);
  }
  for (; k < sum.columns; k += lanes<Real>) {
    const index_t left = sum.columns - k < lanes<Real> ? sum.columns - k : lanes<Real>;
    Vector<Real> total = load_some(sum.to + k, left);
    for (index_t r = 0; r < sum.rows; ++r) total += load_some(sum.from + r * sum.row_stride + k, left);
    store_some(sum.to + k, total, left);
  }
}
