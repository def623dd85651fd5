// kernels/generic: rows times packed panels (contract: PanelProduct in backward_arguments.hpp).

// The k per pass: their part of a panel stays in the L2 cache for all tiles of rows.
constexpr index_t panel_k_block = 1024;

// One tile of rows and one panel, for k in [begin, end). `ahead`: the tile's share of what it reads next in the panels,
// which it prefetches into the L2 cache meanwhile.
template <class Real, int height, class ForVectors>
[[gnu::noinline]] void add_panel(const PanelProduct<Real>& product, index_t row, index_t column, index_t begin,
                                 index_t end, Ahead ahead, ForVectors) {
  constexpr int vectors = static_cast<int>(backward_group_vectors);
  const index_t left_columns = product.columns - column;
  Real* result = product.result + row * product.result_stride + column;
  Vector<Real> sums[height][vectors]{};
  if (product.accumulate || begin > 0) {
    for (int r = 0; r < height; ++r) {
      ForVectors::each(left_columns, [&](auto access, index_t offset) {
        sums[r][offset / lanes<Real>] = access.read(result + r * product.result_stride + offset);
      });
    }
  }
  const Real* left = product.left + row * product.left_stride;
  const Real* panel = product.panels + column * product.size + begin * group_units<Real>;
  for (index_t k = begin; k < end; ++k) {
    __builtin_prefetch(ahead.from, 0, 2);
    ahead.from += ahead.bytes_per_k;
    Vector<Real> factors[vectors];
    for (int v = 0; v < vectors; ++v) factors[v] = load(panel + v * lanes<Real>);
    for (int r = 0; r < height; ++r) {
      const Vector<Real> value = broadcast(left[r * product.left_stride + k]);
      for (int v = 0; v < vectors; ++v) sums[r][v] = multiply_add(value, factors[v], sums[r][v]);
    }
    panel += group_units<Real>;
  }
  for (int r = 0; r < height; ++r) {
    ForVectors::each(left_columns, [&](auto access, index_t offset) {
      access.write(result + r * product.result_stride + offset, sums[r][offset / lanes<Real>]);
    });
  }
}

template <class Real>
struct WholePanel {
  template <class Body>
  [[gnu::always_inline]] static void each(index_t, const Body& body) {
    for (index_t v = 0; v < backward_group_vectors; ++v) body(WholeVector<Real>{}, v * lanes<Real>);
  }
};

template <class Real>
struct PartialPanel {
  template <class Body>
  [[gnu::always_inline]] static void each(index_t left, const Body& body) {
    for_each_vector<Real>(left, body);
  }
};

template <class Real>
void panel_product(const PanelProduct<Real>& product) {
  constexpr index_t bytes_of_k = group_units<Real> * static_cast<index_t>(sizeof(Real));
  for (index_t column = 0; column < product.columns; column += group_units<Real>) {
    for (index_t begin = 0; begin < product.size; begin += panel_k_block) {
      const index_t end = begin + panel_k_block < product.size ? begin + panel_k_block : product.size;
      const char* next =
          reinterpret_cast<const char*>(product.panels + column * product.size + end * group_units<Real>);
      const bool last = column + group_units<Real> >= product.columns && end == product.size;
      for_each_tile<2 * tile_rows>(product.rows, [&](auto of, index_t row) {
        constexpr int height = decltype(of)::value;
        // A tile of more than half of the rows would skip cache lines. It reads most of a panel only once anyway.
        const bool fetches = !last && 2 * height <= product.rows;
        const Ahead ahead{next + (fetches ? (end - begin) * bytes_of_k * row / product.rows : 0),
                          fetches ? bytes_of_k * height / product.rows : 0};
        if (product.columns - column >= group_units<Real>) {
          add_panel<Real, height>(product, row, column, begin, end, ahead, WholePanel<Real>{});
        } else {
          add_panel<Real, height>(product, row, column, begin, end, ahead, PartialPanel<Real>{});
        }
      });
    }
  }
}
