// kernels/generic: one step forward with packed weights (contract: StepForward in kernel_table.hpp).

template <class Real, class Weight, Start start, bool with_input, bool with_hidden>
struct StepTile {
  static constexpr int most_rows = most_rows_of_tile<Weight, with_input>;
  template <int rows, int blocks>
  static void run(const StepForward<Real>& step, const StepRow<Real>* row, index_t block) {
    constexpr index_t block_elements = gate_count * lanes<Real>;
    alignas(64) Real products[index_t{rows} * blocks * block_elements];
    Real* to[rows];
    for (int r = 0; r < rows; ++r) to[r] = products + index_t{r} * blocks * block_elements;
    tile_products<Real, Weight, rows, blocks, start, with_input, with_hidden>(step, row, block, to);
    if (step.cell.kind != CellKind::standard || row->next_hidden == nullptr) {
      CellUnit<Real>::finish(step, {row, rows, blocks, block, products});
    } else if constexpr (rows == 1) {
      // Inline: a call is 1 % of a small step.
      finish_rows<StandardCell<VectorArithmetic<Real>>, Real, rows, blocks>(step, row, block, products);
    } else {
      static_assert(blocks == 1, "TileUnit has these only");
      TileUnit<Real, rows>::finish(step, row, block, products);
    }
  }
};

template <class Real, class Weight>
struct ProjectionTile {
  static constexpr int most_rows = most_rows_of_tile<Weight, true>;
  template <int rows, int blocks>
  static void run(const StepForward<Real>& step, const StepRow<Real>* row, index_t block) {
    Real* to[rows];
    for (int r = 0; r < rows; ++r) to[r] = row[r].pre_activations + block * gate_count * lanes<Real>;
    tile_products<Real, Weight, rows, blocks, Start::bias, true, false>(step, row, block, to);
  }
};

// Each block's weights are read once for all rows. A single row takes two blocks at a time: with one block the
// multiply-add units would wait for each other's results.
template <class Real, class Tile>
void for_each_tile_of_step(const StepForward<Real>& step) {
  for_each_block(step.first_block, step.end_block, step.row_count == 1, step.blocks_descending,
                 [&](index_t blocks, index_t block) {
                   if (blocks == 2) {
                     Tile::template run<1, 2>(step, step.rows, block);
                     return;
                   }
                   for_each_tile<Tile::most_rows>(step.row_count, [&](auto height, index_t first) {
                     Tile::template run<decltype(height)::value, 1>(step, step.rows + first, block);
                   });
                 });
}

template <class Real, class Weight>
void step_forward(const StepForward<Real>& step) {
  if (step.input_weights != nullptr) {
    round_vectors<Weight, true, true>(step);
    for_each_tile_of_step<Real, StepTile<Real, Weight, Start::bias, true, true>>(step);
  } else if (step.hidden_weights == nullptr) {
    if (step.bias == nullptr) {
      for_each_tile_of_step<Real, StepTile<Real, Weight, Start::pre_activations, false, false>>(step);
    } else {
      for_each_tile_of_step<Real, StepTile<Real, Weight, Start::both, false, false>>(step);
    }
  } else if (step.bias == nullptr) {
    round_vectors<Weight, false, true>(step);
    for_each_tile_of_step<Real, StepTile<Real, Weight, Start::pre_activations, false, true>>(step);
  } else {
    round_vectors<Weight, false, true>(step);
    for_each_tile_of_step<Real, StepTile<Real, Weight, Start::both, false, true>>(step);
  }
}

template <class Real, class Weight>
void project_rows(const StepForward<Real>& step) {
  round_vectors<Weight, true, false>(step);
  for_each_tile_of_step<Real, ProjectionTile<Real, Weight>>(step);
}
