// kernels/generic: sums of products in registers: a few rows by some gates of one or two unit blocks.

// Low tiles hold all four gates at once. Higher tiles hold a pair of gates at a time, so that twice the rows share each
// weight that is read. That halves the traffic from the caches behind L1 (98 against 86 GFLOP/s at 8 rows of 512 units,
// one core of an AMD EPYC Zen 3).
constexpr int most_tile_rows = 2 * tile_rows;

template <int rows>
constexpr int gates_at_once = rows > tile_rows ? pair_gates : gate_count;

template <class Real, int rows, int blocks, int gates>
struct Sums {
  Vector<Real> of[rows][blocks][gates];
};

template <class Real, class Weight, int rows>
[[gnu::always_inline]] inline Ahead ahead_of(const StepForward<Real>& step, index_t block, index_t first_row,
                                             index_t first_gate, const Weight* packed, index_t size) {
  const index_t next = step.blocks_descending ? block - 1 : block + 1;
  // A tile of more than half of the rows would skip cache lines. It reads most weights only once anyway.
  if (next < step.first_block || next >= step.end_block || 2 * rows > step.row_count) {
    return {reinterpret_cast<const char*>(packed), 0};
  }
  constexpr index_t bytes_of_k = gate_count * lanes<Real> * static_cast<index_t>(sizeof(Weight));
  constexpr index_t passes = gate_count / gates_at_once<rows>;
  const index_t row_passes = passes * step.row_count;
  const index_t done = passes * first_row + first_gate / gates_at_once<rows> * rows;
  return {reinterpret_cast<const char*>(packed) + size * bytes_of_k * next + size * bytes_of_k * done / row_passes,
          bytes_of_k * rows / row_passes};
}

// sums += W v for column k, which is `column` in its group. weights: those of the group, from the tile's first gate of
// the first block on.
template <index_t column, class Real, class Weight, int rows, int blocks, int gates>
[[gnu::always_inline]] inline void add_column(Sums<Real, rows, blocks, gates>& sums, const Real* const (&vectors)[rows],
                                              index_t k, const Weight* weights, index_t pair_stride) {
  constexpr index_t gate_stride = lanes<Real> * columns_of_group<Weight>;
  if constexpr (gates == gate_count) {
    Vector<Real> values[rows];
    for (int r = 0; r < rows; ++r) values[r] = broadcast(vectors[r][k]);
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gates; ++gate) {
        const index_t at = (b * gate_pairs + gate / pair_gates) * pair_stride + gate % pair_gates * gate_stride;
        const Vector<Real> weight = load_weights<column>(weights + at);
        for (int r = 0; r < rows; ++r) sums.of[r][b][gate] = multiply_add(values[r], weight, sums.of[r][b][gate]);
      }
    }
  } else {
    Vector<Real> weight[gates];
    for (int gate = 0; gate < gates; ++gate) weight[gate] = load_weights<column>(weights + gate * gate_stride);
    for (int r = 0; r < rows; ++r) {
      const Vector<Real> value = broadcast(vectors[r][k]);
      for (int gate = 0; gate < gates; ++gate) {
        sums.of[r][0][gate] = multiply_add(value, weight[gate], sums.of[r][0][gate]);
      }
    }
  }
}

// sums += W v over k, in order. weights: the first block's, from its first gate on; vectors[r]: (size).
// One step of k per turn: unrolled by four, GCC 12's code is 5 % slower on Zen 3 (it runs out of registers).
template <class Real, class Weight, int rows, int blocks, int gates>
[[gnu::always_inline]] inline void add_product(Sums<Real, rows, blocks, gates>& sums,
                                               const Real* const (&vectors)[rows], index_t size, const Weight* weights,
                                               Ahead ahead) {
  constexpr index_t together = columns_of_group<Weight>;
  const index_t pair_stride = (size + together - 1) / together * together * pair_gates * lanes<Real>;
  const auto fetch_ahead = [&] {
    if constexpr (gates == gate_count) return;
    __builtin_prefetch(ahead.from, 0, 2);
    ahead.from += ahead.bytes_per_k;
  };
  index_t k = 0;
  for (; k + together <= size; k += together) {
    fetch_ahead();
    add_column<0>(sums, vectors, k, weights, pair_stride);
    if constexpr (together == 2) {
      fetch_ahead();
      add_column<1>(sums, vectors, k + 1, weights, pair_stride);
    }
    weights += pair_gates * lanes<Real> * together;
  }
  if constexpr (together == 2) {
    if (k < size) add_column<0>(sums, vectors, k, weights, pair_stride);
  }
}

// What a tile's sums begin with. The compiler knows it, and which products are added, so that the sums never leave the
// registers. That matters if rows are short.
enum class Start { bias, pre_activations, both };

template <class Real, Start start>
[[gnu::always_inline]] inline Vector<Real> first_value(const StepForward<Real>& step, const StepRow<Real>& row,
                                                       index_t block, index_t gate) {
  const auto bias = [&] { return load(step.bias + (block * gate_count + gate) * lanes<Real>); };
  const auto pre = [&] {
    return load(row.pre_activations + block * step.pre_block_stride + gate * step.pre_gate_stride);
  };
  if constexpr (start == Start::bias) return bias();
  if constexpr (start == Start::pre_activations) return pre();
  return pre() + bias();
}

// A row's input and hidden state, unrounded or rounded.
template <class Weight, class Real>
inline const Real* input_of(const StepForward<Real>& step, const StepRow<Real>* row) {
  if constexpr (format_of<Weight>.vector_bytes == 0) {
    return row->input;
  } else {
    return reinterpret_cast<const Real*>(RowVectors<Weight>(step, row - step.rows).input(0));
  }
}
template <class Weight, class Real>
inline const Real* hidden_of(const StepForward<Real>& step, const StepRow<Real>* row) {
  if constexpr (format_of<Weight>.vector_bytes == 0) {
    return row->hidden;
  } else {
    return reinterpret_cast<const Real*>(RowVectors<Weight>(step, row - step.rows).hidden());
  }
}

// The products of one tile for `gates` gates from first_gate on, into to[r]: (blocks, gate, lane).
template <class Real, class Weight, int rows, int blocks, int gates, Start start, bool with_input, bool with_hidden>
[[gnu::noinline]] void gate_products(const StepForward<Real>& step, const StepRow<Real>* row, index_t block,
                                     index_t first_gate, Real* const (&to)[rows]) {
  Sums<Real, rows, blocks, gates> sums;
  const Real* vectors[rows];
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gates; ++gate) {
        sums.of[r][b][gate] = first_value<Real, start>(step, row[r], block + b, first_gate + gate);
      }
    }
  }
  const auto add = [&](const void* packed, index_t size) {
    const auto* weights = static_cast<const Weight*>(packed);
    constexpr index_t together = columns_of_group<Weight>;
    const index_t stored = (size + together - 1) / together * together;
    add_product(sums, vectors, size, weights + (block * gate_count + first_gate) * stored * lanes<Real>,
                ahead_of<Real, Weight, rows>(step, block, row - step.rows, first_gate, weights, stored));
  };
  if constexpr (with_input) {
    for (int r = 0; r < rows; ++r) vectors[r] = input_of<Weight>(step, row + r);
    add(step.input_weights, step.input_size);
  }
  if constexpr (with_hidden) {
    for (int r = 0; r < rows; ++r) vectors[r] = hidden_of<Weight>(step, row + r);
    add(step.hidden_weights, step.hidden_size);
  }
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gates; ++gate) {
        store(to[r] + (b * gate_count + first_gate + gate) * lanes<Real>, sums.of[r][b][gate]);
      }
    }
  }
}
