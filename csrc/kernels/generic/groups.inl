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
  static Bits<float> first(const float*) { return Bits<float>{}; }
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
  static Bits<float> first(const float* corrections) { return reinterpret_cast<Bits<float>>(load(corrections)); }
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

template <class Weight, int vectors, int blocks, int gates>
struct GroupSums {
  typename GroupProduct<Weight>::Sum of[vectors][blocks][gates];
};

// 32 bits of a vector in each lane.
inline Bits<float> broadcast_word(const std::byte* from) {
  std::int32_t word;
  __builtin_memcpy(&word, from, sizeof(word));
  return word - Bits<float>{};
}

// In bytes, of a packed matrix.
struct PanelStrides {
  index_t pair;  // from the first two gates of a block to the others
  index_t block;
};

template <int part, class Weight, int vectors, int blocks, int gates>
[[gnu::always_inline]] inline void add_group(GroupSums<Weight, vectors, blocks, gates>& sums,
                                             const std::byte* const (&from)[vectors], index_t offset,
                                             const std::byte* weights, const PanelStrides& strides) {
  using Product = GroupProduct<Weight>;
  const auto weights_of = [&](int b, int gate) {
    const index_t at = b * strides.block + gate / pair_gates * strides.pair + gate % pair_gates * vector_bytes;
    return Product::template weights<part>(weights + at);
  };
  if constexpr (gates == gate_count) {
    Bits<float> values[vectors];
    for (int v = 0; v < vectors; ++v) values[v] = broadcast_word(from[v] + offset);
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gates; ++gate) {
        const Bits<float> weight = weights_of(b, gate);
        for (int v = 0; v < vectors; ++v) sums.of[v][b][gate] = Product::add(sums.of[v][b][gate], values[v], weight);
      }
    }
  } else {
    Bits<float> weight[gates];
    for (int gate = 0; gate < gates; ++gate) weight[gate] = weights_of(0, gate);
    for (int v = 0; v < vectors; ++v) {
      const Bits<float> value = broadcast_word(from[v] + offset);
      for (int gate = 0; gate < gates; ++gate) {
        sums.of[v][0][gate] = Product::add(sums.of[v][0][gate], value, weight[gate]);
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
  const float* corrections(int b, index_t gate) const { return scales(b, gate) + gate_count * lanes<float>; }
};

// As ahead_of() in tile.inl: rows, of all that share the block.
template <class Weight>
inline Ahead ahead_of_panel(const StepForward<float>& step, const Panel<Weight>& panel, index_t block,
                            index_t first_row, index_t first_gate, int rows) {
  const index_t next = step.backwards ? block - 1 : block + 1;
  if (next < step.first_block || next >= step.end_block || 2 * rows > step.row_count) {
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
template <class Weight, int vectors, int blocks, int gates>
[[gnu::always_inline]] inline void add_groups(GroupSums<Weight, vectors, blocks, gates>& sums,
                                              const std::byte* const (&from)[vectors], const Panel<Weight>& panel,
                                              index_t first_gate, Ahead ahead) {
  constexpr int parts = GroupProduct<Weight>::parts;
  const std::byte* weights = panel.of_gate(first_gate);
  const index_t groups = panel.groups;
  const PanelStrides strides = panel.strides;
  for (index_t group = 0; group < groups; ++group) {
    if constexpr (gates != gate_count) {
      __builtin_prefetch(ahead.from, 0, 2);
      ahead.from += ahead.bytes_per_k;
    }
    add_group<0>(sums, from, group * parts * 4, weights, strides);
    if constexpr (parts == 2) add_group<1>(sums, from, group * parts * 4 + 4, weights, strides);
    weights += pair_gates * vector_bytes;
  }
}

// What integer products are added to.
enum class Onto { start, products };

// to[r] = (what a tile begins with, or to[r]) + what the integer products with a matrix stand for, for `gates` gates
// from first_gate on.
template <class Weight, int rows, int blocks, int gates, bool of_hidden, Onto onto, Start start>
[[gnu::noinline]] void add_integer_products(const StepForward<float>& step, index_t row, index_t block,
                                            index_t first_gate, float* const (&to)[rows]) {
  constexpr int terms = of_hidden ? 1 : static_cast<int>(format_of<Weight>.input_terms);
  using Product = GroupProduct<Weight>;
  const index_t size = of_hidden ? step.hidden_size : step.input_size;
  const Panel<Weight> panel(of_hidden ? step.hidden_weights : step.input_weights, block, size);
  const std::byte* vectors[rows * terms];
  float scales[rows];
  for (int r = 0; r < rows; ++r) {
    const RowVectors<Weight> of_row(step, row + r);
    for (int term = 0; term < terms; ++term) {
      vectors[r * terms + term] = of_hidden ? of_row.hidden() : of_row.input(term);
    }
    scales[r] = of_hidden ? of_row.scales().hidden : of_row.scales().input;
  }
  GroupSums<Weight, rows * terms, blocks, gates> sums;
  for (int b = 0; b < blocks; ++b) {
    for (int gate = 0; gate < gates; ++gate) {
      const auto first = Product::first(panel.corrections(b, first_gate + gate));
      for (int v = 0; v < rows * terms; ++v) sums.of[v][b][gate] = first;
    }
  }
  add_groups(sums, vectors, panel, first_gate, ahead_of_panel(step, panel, block, row, first_gate, rows));
  for (int b = 0; b < blocks; ++b) {
    for (int gate = 0; gate < gates; ++gate) {
      const Vector<float> scale = load(panel.scales(b, first_gate + gate));
      for (int r = 0; r < rows; ++r) {
        Vector<float> sum = __builtin_convertvector(sums.of[r * terms][b][gate], Vector<float>);
        if constexpr (terms == 2) {
          sum = sum * 128.0F + __builtin_convertvector(sums.of[r * terms + 1][b][gate], Vector<float>);
        }
        float* at = to[r] + (b * gate_count + first_gate + gate) * lanes<float>;
        Vector<float> before;
        if constexpr (onto == Onto::start) {
          before = first_value<float, start>(step, step.rows[row + r], block + b, first_gate + gate);
        } else {
          before = load(at);
        }
        store(at, before + sum * scales[r] * scale);
      }
    }
  }
}

template <class Weight, int rows, int blocks, bool of_hidden, Onto onto, Start start>
inline void add_integer_products_of_tile(const StepForward<float>& step, index_t row, index_t block,
                                         float* const (&to)[rows]) {
  constexpr int vectors = of_hidden ? rows : rows * static_cast<int>(format_of<Weight>.input_terms);
  constexpr int gates = gates_at_once<vectors>;
  for (index_t gate = 0; gate < gate_count; gate += gates) {
    add_integer_products<Weight, rows, blocks, gates, of_hidden, onto, start>(step, row, block, gate, to);
  }
}

// The products of one tile with sums in float, for `gates` gates from first_gate on, into to[r]. As gate_products() in
// tile.inl.
template <class Weight, int rows, int blocks, int gates, Start start, bool with_input, bool with_hidden>
[[gnu::noinline]] void group_products(const StepForward<float>& step, const StepRow<float>* row, index_t block,
                                      index_t first_gate, float* const (&to)[rows]) {
  GroupSums<Weight, rows, blocks, gates> sums;
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gates; ++gate) {
        sums.of[r][b][gate] = first_value<float, start>(step, row[r], block + b, first_gate + gate);
      }
    }
  }
  const index_t first_row = row - step.rows;
  const std::byte* vectors[rows];
  const auto add = [&](const void* packed, index_t size) {
    const Panel<Weight> panel(packed, block, size);
    add_groups(sums, vectors, panel, first_gate, ahead_of_panel(step, panel, block, first_row, first_gate, rows));
  };
  if constexpr (with_input) {
    for (int r = 0; r < rows; ++r) vectors[r] = RowVectors<Weight>(step, first_row + r).input(0);
    add(step.input_weights, step.input_size);
  }
  if constexpr (with_hidden) {
    for (int r = 0; r < rows; ++r) vectors[r] = RowVectors<Weight>(step, first_row + r).hidden();
    add(step.hidden_weights, step.hidden_size);
  }
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gates; ++gate) {
        store(to[r] + (b * gate_count + first_gate + gate) * lanes<float>, sums.of[r][b][gate]);
      }
    }
  }
}
