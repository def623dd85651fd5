// kernels/generic: left^T right, a sum over rows (contract: ProductOverRows in backward_arguments.hpp). Both matrices
// are read where they are.

// The rows per pass: what a pair of vectors reads of `right` stays in the L1 cache for all tiles of `left`.
constexpr index_t product_row_block = 256;

// Up to two vectors of the result's columns.
template <class Real>
struct WholePair {
  static constexpr int vectors = 2;
  Vector<Real> read(const Real* from, int v) const { return load(from + v * lanes<Real>); }
  void write(Real* to, int v, Vector<Real> values) const { store(to + v * lanes<Real>, values); }
};

template <class Real>
struct PartialPair {
  static constexpr int vectors = 1;
  index_t count;  // of columns, at most `lanes`
  Vector<Real> read(const Real* from, int) const { return load_some(from, count); }
  void write(Real* to, int, Vector<Real> values) const { store_some(to, values, count); }
};

// Rows [begin, end) of the result's tile at (first, column).
template <class Real, int height, class Columns>
[[gnu::noinline]] void add_tile(const ProductOverRows<Real>& product, index_t first, index_t column, index_t begin,
                                index_t end, Columns columns) {
  constexpr int vectors = Columns::vectors;
  Vector<Real> sums[height][vectors];
  Real* result = product.result + first * product.result_stride + column;
  for (int j = 0; j < height; ++j) {
    for (int v = 0; v < vectors; ++v) sums[j][v] = columns.read(result + j * product.result_stride, v);
  }
  const Real* left = product.left + begin * product.left_stride + first;
  const Real* right = product.right + begin * product.right_stride + column;
  for (index_t r = begin; r < end; ++r) {
    Vector<Real> values[vectors];
    for (int v = 0; v < vectors; ++v) values[v] = columns.read(right, v);
    for (int j = 0; j < height; ++j) {
      const Vector<Real> factor = broadcast(left[j]);
      for (int v = 0; v < vectors; ++v) sums[j][v] = multiply_add(factor, values[v], sums[j][v]);
    }
    left += product.left_stride;
    right += product.right_stride;
  }
  for (int j = 0; j < height; ++j) {
    for (int v = 0; v < vectors; ++v) columns.write(result + j * product.result_stride, v, sums[j][v]);
  }
}

template <class Real>
void product_over_rows(const ProductOverRows<Real>& product) {
  constexpr index_t pair = 2 * lanes<Real>;
  for (index_t begin = 0; begin < product.rows; begin += product_row_block) {
    const index_t end = begin + product_row_block < product.rows ? begin + product_row_block : product.rows;
    index_t column = 0;
    const auto for_columns = [&](auto columns) {
      for_each_tile<2 * tile_rows>(product.left_columns, [&](auto height, index_t first) {
        add_tile<Real, decltype(height)::value>(product, first, column, begin, end, columns);
      });
    };
    for (; column + pair <= product.right_columns; column += pair) for_columns(WholePair<Real>{});
    for (; column < product.right_columns; column += lanes<Real>) {
      const index_t left = product.right_columns - column;
      for_columns(PartialPair<Real>{left < lanes<Real> ? left : lanes<Real>});
    }
  }
}
