// kernels/generic: the products of one tile, as its format computes them.

// What the sums of a format's products are.
enum class SumKind { of_columns, of_groups, of_integers };

template <class Weight>
constexpr SumKind sum_kind = SumKind::of_columns;
template <>
inline constexpr SumKind sum_kind<BFloat16Dot> = SumKind::of_groups;
template <int terms>
constexpr SumKind sum_kind<Int8<terms>> = SumKind::of_integers;
template <int terms>
constexpr SumKind sum_kind<Int8Dot<terms>> = SumKind::of_integers;

// Each term of an input takes the registers of a row.
template <class Weight, bool with_input>
constexpr int most_rows_of_tile = most_tile_rows / static_cast<int>(with_input ? format_of<Weight>.input_terms : 1);

// Into to[r]: (blocks, gate, lane).
template <class Real, class Weight, int rows, int blocks, Start start, bool with_input, bool with_hidden>
inline void tile_products(const StepForward<Real>& step, const StepRow<Real>* row, index_t block,
                          Real* const (&to)[rows]) {
  if constexpr (sum_kind<Weight> == SumKind::of_columns) {
    constexpr int gates = gates_at_once<rows>;
    for (index_t gate = 0; gate < gate_count; gate += gates) {
      gate_products<Real, Weight, rows, blocks, gates, start, with_input, with_hidden>(step, row, block, gate, to);
    }
  } else if constexpr (sum_kind<Weight> == SumKind::of_groups) {
    constexpr int gates = gates_at_once<rows>;
    for (index_t gate = 0; gate < gate_count; gate += gates) {
      group_products<Weight, rows, blocks, gates, start, with_input, with_hidden>(step, row, block, gate, to);
    }
  } else {
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < blocks * gate_count; ++v) {
        store(to[r] + v * lanes<Real>, first_value<Real, start>(step, row[r], block + v / gate_count, v % gate_count));
      }
    }
    const IntegerTile tile{step, row - step.rows, block};
    if constexpr (with_input) add_integer_products_of_input<Weight, rows, blocks>(tile, to);
    if constexpr (with_hidden) add_integer_products_of_hidden<Weight, rows, blocks>(tile, to);
  }
}
