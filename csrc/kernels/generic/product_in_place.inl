// kernels/generic: a product with weights that are not packed (contract: ProductInPlace in kernel_table.hpp). Vector
// lanes run along k, as the rows of the matrix do in memory.

// Sums of a unit's products, lane by lane: [row][gate][unit of the block].
template <class Real, int rows>
struct SumsInPlace {
  Vector<Real> of[rows][gate_count][lanes<Real>];
};

// The neighbouring rows of the matrix per pass. A single batch row needs more of them, so that its sums hide each
// other's latency (40 against 45 us at 256 units, one core of an AMD EPYC Zen 5).
template <int rows>
constexpr int units_at_once = rows == 1 ? 8 : 4;

// The sums of some units of one gate.
template <class Real, int rows, int units>
[[gnu::noinline]] void units_in_place(const ProductInPlace<Real>& product, const StepRow<Real>* row, index_t gate,
                                      index_t unit, SumsInPlace<Real, rows>& to) {
  const Real* weights = product.weights + (gate * product.units + unit) * product.row_stride;
  const Real* vectors[rows];
  for (int r = 0; r < rows; ++r) vectors[r] = product.of_hidden ? row[r].hidden : row[r].input;
  Vector<Real> sums[rows][units] = {};
  index_t k = 0;
  for (; k + lanes<Real> <= product.size; k += lanes<Real>) {
    Vector<Real> values[rows];
    for (int r = 0; r < rows; ++r) values[r] = load(vectors[r] + k);
    for (int u = 0; u < units; ++u) {
      const Vector<Real> weight = load(weights + u * product.row_stride + k);
      for (int r = 0; r < rows; ++r) sums[r][u] = multiply_add(values[r], weight, sums[r][u]);
    }
  }
  if (k < product.size) {
    const index_t left = product.size - k;
    for (int u = 0; u < units; ++u) {
      const Vector<Real> weight = load_some(weights + u * product.row_stride + k, left);
      for (int r = 0; r < rows; ++r) sums[r][u] = multiply_add(load_some(vectors[r] + k, left), weight, sums[r][u]);
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int u = 0; u < units; ++u) to.of[r][gate][unit % lanes<Real> + u] = sums[r][u];
  }
}

// The sum of each vector's lanes, pairs of halves at a time, as one vector.
template <class Real>
[[gnu::always_inline]] inline Vector<Real> sums_of_lanes(Vector<Real> (&square)[lanes<Real>]) {
  transpose<Real, static_cast<int>(lanes<Real>) / 2>(square);
  for (index_t half = lanes<Real> / 2; half > 0; half /= 2) {
    for (index_t k = 0; k < half; ++k) square[k] += square[k + half];
  }
  return square[0];
}

template <class Real, int rows>
[[gnu::noinline]] void block_in_place(const ProductInPlace<Real>& product, const StepRow<Real>* row, index_t block) {
  SumsInPlace<Real, rows> sums;
  const index_t left = product.units - block * lanes<Real>;
  const index_t count = left < lanes<Real> ? left : lanes<Real>;
  for (index_t gate = 0; gate < gate_count; ++gate) {
    index_t unit = 0;
    constexpr int together = units_at_once<rows>;
    for (; unit + together <= count; unit += together) {
      units_in_place<Real, rows, together>(product, row, gate, block * lanes<Real> + unit, sums);
    }
    for (; unit < count; ++unit) units_in_place<Real, rows, 1>(product, row, gate, block * lanes<Real> + unit, sums);
  }
  for (int r = 0; r < rows; ++r) {
    for (index_t gate = 0; gate < gate_count; ++gate) {
      for (index_t unit = count; unit < lanes<Real>; ++unit) sums.of[r][gate][unit] = Vector<Real>{};
      const Vector<Real> total = sums_of_lanes<Real>(sums.of[r][gate]);
      Real* to = row[r].pre_activations + block * product.pre_block_stride + gate * product.pre_gate_stride;
      const Real* start = product.bias != nullptr ? product.bias + (block * gate_count + gate) * lanes<Real> : to;
      if (count == lanes<Real>) {
        store(to, load(start) + total);
      } else {
        store_some(to, load_some(start, count) + total, count);
      }
    }
  }
}

template <class Real>
void product_in_place(const ProductInPlace<Real>& product) {
  for (index_t k = product.first_block; k < product.end_block; ++k) {
    const index_t block = product.blocks_descending ? product.first_block + product.end_block - 1 - k : k;
    for_each_tile<tile_rows>(product.row_count, [&](auto height, index_t first_row) {
      block_in_place<Real, decltype(height)::value>(product, product.rows + first_row, block);
    });
  }
}
