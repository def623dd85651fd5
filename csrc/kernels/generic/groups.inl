// kernels/generic: products of rounded vectors with weights whose columns come in groups, a group in each turn.

// What a format multiplies with: Sums from `part` of a group's columns in a lane, and as many of a vector, in 32 bits.
template <class Weight>
struct GroupProduct;

template <int terms>
struct GroupProduct<Int8<terms>> {
  using Sum = Bits<float>;
  static constexpr int parts = 2;  // even bytes, odd bytes
  template <int part>
  static Bits<float> weights(const void* from) {
    typedef std::int16_t Pairs __attribute__((vector_size(vector_bytes)));
    const auto bytes = reinterpret_cast<Pairs>(load(static_cast<const float*>(from)));
    return reinterpret_cast<Bits<float>>((part == 0 ? bytes << 8 : bytes) >> 8);
  }
  static Bits<float> add(Bits<float> sum, Bits<float> vector, Bits<float> weights) {
    return sum + multiply_pairs(vector, weights);
  }
};

#ifdef LSTM_NATIVE_INTEGER_DOT
template <int terms>
struct GroupProduct<Int8Dot<terms>> {
  using Sum = Bits<float>;
  static constexpr int parts = 1;
  template <int>
  static Bits<float> weights(const void* from) {
    return reinterpret_cast<Bits<float>>(load(static_cast<const float*>(from)));
  }
  static Bits<float> add(Bits<float> sum, Bits<float> vector, Bits<float> weights) {
    return add_products_of_bytes(sum, vector, weights);
  }
};
#endif

#ifdef LSTM_NATIVE_BFLOAT16_DOT
template <>
struct GroupProduct<BFloat16Dot> {
  using Sum = Vector<float>;
  static constexpr int parts = 1;
  template <int>
  static Bits<float> weights(const void* from) {
    return reinterpret_cast<Bits<float>>(load(static_cast<const float*>(from)));
  }
  static Vector<float> add(Vector<float> sum, Bits<float> vector, Bits<float> weights) {
    return add_products_of_pairs(sum, vector, weights);
  }
};
#endif

template <class Weight, int rows, int terms, int blocks, int gates>
struct GroupSums {
  typename GroupProduct<Weight>::Sum of[rows][terms][blocks][gates];
};

// 32 bits of a vector in each lane.
inline Bits<float> broadcast_word(const std::byte* from) {
  std::int32_t word;
  __builtin_memcpy(&word, from, sizeof(word));
  return word - Bits<float>{};
}

// The vectors of a tile's rows, which are evenly spaced. A loop moves a pointer for each three of them: one for each
// would be more than there are registers.
template <int rows, int terms>
struct RowsOfVectors {
  static constexpr int near = 3;  // what an address reaches from one: none, one, or two distances
  const std::byte* of[terms][(rows + near - 1) / near];
  index_t row_stride;

  RowsOfVectors(const std::byte* first, index_t bytes_of_row, index_t bytes_of_term) : row_stride(bytes_of_row) {
    for (int term = 0; term < terms; ++term) {
      for (int r = 0; r < rows; r += near) of[term][r / near] = first + term * bytes_of_term + r * row_stride;
    }
  }
  const std::byte* vector(int r, int term) const { return of[term][r / near] + r % near * row_stride; }
  void advance(index_t bytes) {
    for (auto& of_term : of) {
      for (auto& pointer : of_term) pointer += bytes;
    }
  }
};

// In bytes, of a packed matrix.
struct PanelStrides {
  index_t pair;  // from the first two gates of a block to the others
  index_t block;
};

template <int part, class Weight, int rows, int terms, int blocks, int gates>
[[gnu::always_inline]] inline void add_group(GroupSums<Weight, rows, terms, blocks, gates>& sums,
                                             const RowsOfVectors<rows, terms>& from, const std::byte* weights,
                                             const PanelStrides& strides) {
  using Product = GroupProduct<Weight>;
  const auto weights_of = [&](int b, int gate) {
    const index_t at = b * strides.block + gate / pair_gates * strides.pair + gate % pair_gates * vector_bytes;
    return Product::template weights<part>(weights + at);
  };
  if constexpr (gates == gate_count) {
    Bits<float> values[rows][terms];
    for (int r = 0; r < rows; ++r) {
      for (int t = 0; t < terms; ++t) values[r][t] = broadcast_word(from.vector(r, t) + part * 4);
    }
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gates; ++gate) {
        const Bits<float> weight = weights_of(b, gate);
        for (int r = 0; r < rows; ++r) {
          for (int t = 0; t < terms; ++t) {
            auto& sum = sums.of[r][t][b][gate];
            sum = Product::add(sum, values[r][t], weight);
          }
        }
      }
    }
  } else {
    Bits<float> weight[gates];
    for (int gate = 0; gate < gates; ++gate) weight[gate] = weights_of(0, gate);
    for (int r = 0; r < rows; ++r) {
      for (int t = 0; t < terms; ++t) {
        const Bits<float> value = broadcast_word(from.vector(r, t) + part * 4);
        for (int gate = 0; gate < gates; ++gate) {
          auto& sum = sums.of[r][t][0][gate];
          sum = Product::add(sum, value, weight[gate]);
        }
      }
    }
  }
}

// A matrix's panel at one block.
template <class Weight>
struct Panel {
  static constexpr WeightFormat format = format_of<Weight>;
  const std::byte* begin;
  index_t groups;  // of columns
  PanelStrides strides;

  Panel(const void* packed, index_t block, index_t columns)
      : groups((columns + format.columns_of_group - 1) / format.columns_of_group), strides{} {
    strides.pair = groups * pair_gates * vector_bytes;
    strides.block = gate_pairs * strides.pair + gate_count * lanes<float> * format.scale_bytes;
    begin = static_cast<const std::byte*>(packed) + block * strides.block;
  }
  const std::byte* of_gate(index_t gate) const { return begin + gate / pair_gates * strides.pair; }
  // Of block b after this one.
  const float* scales(int b, index_t gate) const {
    return reinterpret_cast<const float*>(begin + b * strides.block + gate_pairs * strides.pair) + gate * lanes<float>;
  }
  const float* sums(int b, index_t gate) const { return scales(b, gate) + gate_count * lanes<float>; }
};

// As ahead_of() in tile.inl: rows, of all that share the block.
template <class Weight>
inline Ahead ahead_of_panel(const StepForward<float>& step, const Panel<Weight>& panel, index_t block,
                            index_t first_row, index_t first_gate, int rows) {
  const index_t next = step.blocks_descending ? block - 1 : block + 1;
  if (next < step.first_block || next >= step.end_block || index_t{2} * rows > step.row_count) {
    return {reinterpret_cast<const char*>(panel.begin), 0};
  }
  constexpr index_t bytes_of_group = gate_count * vector_bytes;
  const index_t row_passes = gate_pairs * step.row_count;
  const index_t done = gate_pairs * first_row + first_gate / pair_gates * rows;
  const std::byte* from = panel.begin + (next - block) * panel.strides.block;
  return {reinterpret_cast<const char*>(from) + panel.groups * bytes_of_group * done / row_passes,
          bytes_of_group * rows / row_passes};
}

// sums += W v over the groups of columns, in order, for gates from first_gate on.
template <class Weight, int rows, int terms, int blocks, int gates>
[[gnu::always_inline]] inline void add_groups(GroupSums<Weight, rows, terms, blocks, gates>& sums,
                                              RowsOfVectors<rows, terms> from, const Panel<Weight>& panel,
                                              index_t first_gate, Ahead ahead) {
  constexpr int parts = GroupProduct<Weight>::parts;
  const std::byte* weights = panel.of_gate(first_gate);
  const PanelStrides strides = panel.strides;
  for (index_t group = panel.groups; group > 0; --group) {
    if constexpr (gates != gate_count) {
      __builtin_prefetch(ahead.from, 0, 2);
      ahead.from += ahead.bytes_per_k;
    }
    add_group<0>(sums, from, weights, strides);
    if constexpr (parts == 2) add_group<1>(sums, from, weights, strides);
    from.advance(parts * 4);
    weights += pair_gates * vector_bytes;
  }
}

// The rows of a tile of `step` from first_row on, and a unit block.
struct IntegerTile {
  const StepForward<float>& step;
  index_t first_row;
  index_t block;
};

// What the integers of a tile's rows stand for.
template <int rows>
struct IntegerRows {
  float scales[rows];  // of an integer 1 in the last vector
  std::int32_t offsets[rows];
};

// to[r] += what the products with a panel stand for, for `gates` gates from first_gate on.
template <class Weight, int rows, int terms, int blocks, int gates>
[[gnu::noinline]] void add_integer_products(const Panel<Weight>& panel, const RowsOfVectors<rows, terms>& vectors,
                                            const IntegerRows<rows>& of, float* const (&to)[rows], index_t first_gate,
                                            Ahead ahead) {
  GroupSums<Weight, rows, terms, blocks, gates> sums;
  for (int b = 0; b < blocks; ++b) {
    for (int gate = 0; gate < gates; ++gate) {
      const auto of_weights = reinterpret_cast<Bits<float>>(load(panel.sums(b, first_gate + gate)));
      for (int r = 0; r < rows; ++r) {
        for (int t = 0; t < terms; ++t) {
          sums.of[r][t][b][gate] = of_weights * (of.offsets[r] - stored_more_of<Weight>);
        }
      }
    }
  }
  add_groups(sums, vectors, panel, first_gate, ahead);
  for (int b = 0; b < blocks; ++b) {
    for (int gate = 0; gate < gates; ++gate) {
      const Vector<float> scale = load(panel.scales(b, first_gate + gate));
      for (int r = 0; r < rows; ++r) {
        Vector<float> sum = __builtin_convertvector(sums.of[r][0][b][gate], Vector<float>);
        if constexpr (terms == 2) {
          sum = sum * 128.0F + __builtin_convertvector(sums.of[r][1][b][gate], Vector<float>);
        }
        float* at = to[r] + (b * gate_count + first_gate + gate) * lanes<float>;
        store(at, load(at) + sum * of.scales[r] * scale);
      }
    }
  }
}

template <class Weight, int blocks, int rows, int terms>
inline void add_integer_products_of_tile(const IntegerTile& tile, const Panel<Weight>& panel,
                                         const RowsOfVectors<rows, terms>& vectors, const IntegerRows<rows>& of,
                                         float* const (&to)[rows]) {
  constexpr int gates = gates_at_once<rows * terms>;
  for (index_t gate = 0; gate < gate_count; gate += gates) {
    add_integer_products<Weight, rows, terms, blocks, gates>(
        panel, vectors, of, to, gate, ahead_of_panel(tile.step, panel, tile.block, tile.first_row, gate, rows));
  }
}

template <class Weight, int rows, int blocks>
inline void add_integer_products_of_input(const IntegerTile& tile, float* const (&to)[rows]) {
  constexpr int terms = static_cast<int>(format_of<Weight>.input_terms);
  const StepForward<float>& step = tile.step;
  const RowVectors<Weight> first(step, tile.first_row);
  IntegerRows<rows> of;
  for (int r = 0; r < rows; ++r) {
    const RowScales& scales = RowVectors<Weight>(step, tile.first_row + r).scales();
    of.scales[r] = scales.input;
    of.offsets[r] = scales.input_offset;
  }
  add_integer_products_of_tile<Weight, blocks>(
      tile, Panel<Weight>(step.input_weights, tile.block, step.input_size),
      RowsOfVectors<rows, terms>(first.input(0), step.vector_stride, first.input_bytes), of, to);
}

// For `some` rows of a tile, beginning with its row `first`. Hidden states have one or two terms. With two, the second
// term of a row may be 0.
template <class Weight, int some, int terms, int blocks>
inline void add_integer_products_of_some_hidden(const IntegerTile& tile, int first, float* const* to) {
  const StepForward<float>& step = tile.step;
  const RowVectors<Weight> vectors(step, tile.first_row + first);
  IntegerRows<some> of;
  float* to_rows[some];
  for (int r = 0; r < some; ++r) {
    const RowScales& scales = RowVectors<Weight>(step, tile.first_row + first + r).scales();
    // A division by 128 changes no bit of what follows.
    of.scales[r] = scales.hidden_terms < terms ? scales.hidden / 128.0F : scales.hidden;
    of.offsets[r] = 0;
    to_rows[r] = to[first + r];
  }
  add_integer_products_of_tile<Weight, blocks>(
      tile, Panel<Weight>(step.hidden_weights, tile.block, step.hidden_size),
      RowsOfVectors<some, terms>(vectors.hidden(0), step.vector_stride, vectors.hidden_bytes), of, to_rows);
}

template <class Weight, int rows, int blocks>
inline void add_integer_products_of_hidden(const IntegerTile& tile, float* const (&to)[rows]) {
  bool two_terms = false;
  for (int r = 0; r < rows; ++r) {
    const RowVectors<Weight> row(tile.step, tile.first_row + r);
    two_terms = two_terms || row.scales().hidden_terms == 2;
  }
  if (!two_terms) {
    add_integer_products_of_some_hidden<Weight, rows, 1, blocks>(tile, 0, to);
  } else if constexpr (2 * rows <= most_tile_rows) {
    add_integer_products_of_some_hidden<Weight, rows, 2, blocks>(tile, 0, to);
  } else {
    constexpr int half = rows / 2;
    add_integer_products_of_some_hidden<Weight, rows - half, 2, blocks>(tile, 0, to);
    add_integer_products_of_some_hidden<Weight, half, 2, blocks>(tile, rows - half, to);
  }
}

// The products of one tile with sums in float, for `gates` gates from first_gate on, into to[r]. As gate_products() in
// tile.inl.
template <class Weight, int rows, int blocks, int gates, Start start, bool with_input, bool with_hidden>
[[gnu::noinline]] void group_products(const StepForward<float>& step, const StepRow<float>* row, index_t block,
                                      index_t first_gate, float* const (&to)[rows]) {
  GroupSums<Weight, rows, 1, blocks, gates> sums;
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gates; ++gate) {
        sums.of[r][0][b][gate] = first_value<float, start>(step, row[r], block + b, first_gate + gate);
      }
    }
  }
  const index_t first_row = row - step.rows;
  const RowVectors<Weight> first(step, first_row);
  const auto add = [&](const void* packed, index_t size, const std::byte* vectors) {
    const Panel<Weight> panel(packed, block, size);
    add_groups(sums, RowsOfVectors<rows, 1>(vectors, step.vector_stride, 0), panel, first_gate,
               ahead_of_panel(step, panel, block, first_row, first_gate, rows));
  };
  if constexpr (with_input) add(step.input_weights, step.input_size, first.input(0));
  if constexpr (with_hidden) add(step.hidden_weights, step.hidden_size, first.hidden());
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gates; ++gate) {
        store(to[r] + (b * gate_count + first_gate + gate) * lanes<float>, sums.of[r][0][b][gate]);
      }
    }
  }
}
