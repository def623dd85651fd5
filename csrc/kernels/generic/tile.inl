// kernels/generic: sums of products in registers: a few rows by the four gates of one or two unit blocks.

template <class Real, int rows, int blocks>
struct Sums {
  Vector<Real> of[rows][blocks][gate_count];
};

// sums += W v over k, in order. weights: the first block's; vectors[r]: (size).
// One step of k per turn: unrolled by four, GCC 12's code is 5 % slower on Zen 3 (it runs out of registers).
template <class Real, class Weight, int rows, int blocks>
[[gnu::always_inline]] inline void add_product(Sums<Real, rows, blocks>& sums, const Real* const (&vectors)[rows],
                                               index_t size, const Weight* weights) {
  const index_t block_stride = size * gate_count * lanes<Real>;
  for (index_t k = 0; k < size; ++k) {
    Vector<Real> values[rows];
    for (int r = 0; r < rows; ++r) values[r] = broadcast(vectors[r][k]);
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gate_count; ++gate) {
        const Vector<Real> weight = load_weights(weights + b * block_stride + gate * lanes<Real>);
        for (int r = 0; r < rows; ++r) sums.of[r][b][gate] = multiply_add(values[r], weight, sums.of[r][b][gate]);
      }
    }
    weights += gate_count * lanes<Real>;
  }
}

// What a tile's sums begin with. Known when compiling, as is which products are added: then the sums never leave the
// registers, which matters where rows are short.
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

// All products of one tile into to[r]: (blocks, gate, lane).
template <class Real, class Weight, int rows, int blocks, Start start, bool with_input, bool with_hidden>
[[gnu::noinline]] void tile_products(const StepForward<Real>& step, const StepRow<Real>* row, index_t block,
                                     Real* const (&to)[rows]) {
  constexpr index_t block_elements = gate_count * lanes<Real>;
  Sums<Real, rows, blocks> sums;
  const Real* vectors[rows];
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gate_count; ++gate) {
        sums.of[r][b][gate] = first_value<Real, start>(step, row[r], block + b, gate);
      }
    }
  }
  if constexpr (with_input) {
    for (int r = 0; r < rows; ++r) vectors[r] = row[r].input;
    add_product(sums, vectors, step.input_size,
                static_cast<const Weight*>(step.input_weights) + block * step.input_size * block_elements);
  }
  if constexpr (with_hidden) {
    for (int r = 0; r < rows; ++r) vectors[r] = row[r].hidden;
    add_product(sums, vectors, step.hidden_size,
                static_cast<const Weight*>(step.hidden_weights) + block * step.hidden_size * block_elements);
  }
  for (int r = 0; r < rows; ++r) {
    for (int b = 0; b < blocks; ++b) {
      for (int gate = 0; gate < gate_count; ++gate) {
        store(to[r] + b * block_elements + gate * lanes<Real>, sums.of[r][b][gate]);
      }
    }
  }
}

// Calls tile(TileHeight, first row) for tiles of nearly equal height, at most tile_rows high.
template <int rows>
struct TileHeight {
  static constexpr int value = rows;
};

template <int most, class Tile>
inline void call_with_height(index_t height, const Tile& tile) {
  if constexpr (most > 1) {
    if (height < most) {
      call_with_height<most - 1>(height, tile);
      return;
    }
  }
  tile(TileHeight<most>{});
}

template <class Tile>
inline void for_each_tile(index_t row_count, const Tile& tile) {
  const index_t tiles = (row_count + tile_rows - 1) / tile_rows;
  if (tiles == 0) return;
  const index_t height = row_count / tiles;
  const index_t higher = row_count % tiles;  // so many tiles have one row more
  index_t row = 0;
  for (index_t k = 0; k < tiles; ++k) {
    const index_t rows = height + (k < higher ? 1 : 0);
    call_with_height<tile_rows>(rows, [&](auto of) { tile(of, row); });
    row += rows;
  }
}

// Calls body(count, block) over the unit blocks, one or two at a time.
template <class Body>
inline void for_each_block(index_t first, index_t end, bool in_pairs, bool backwards, const Body& body) {
  const index_t width = in_pairs ? 2 : 1;
  if (!backwards) {
    for (; first + width <= end; first += width) body(width, first);
    if (first < end) body(1, first);
  } else {
    for (; end - width >= first; end -= width) body(width, end - width);
    if (first < end) body(1, first);
  }
}
