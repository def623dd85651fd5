// kernels/generic: a product with weights that are not packed (contract: ProductInPlace in kernel_table.hpp). Vector
// lanes run along k, so that rows of the matrix are read as they lie.

template <class Real, int rows>
[[gnu::noinline]] void unit_in_place(const ProductInPlace<Real>& product, const StepRow<Real>* row, index_t unit) {
  const Real* weights[gate_count];
  for (int gate = 0; gate < gate_count; ++gate) {
    weights[gate] = product.weights + (gate * product.units + unit) * product.row_stride;
  }
  const Real* vectors[rows];
  for (int r = 0; r < rows; ++r) vectors[r] = product.of_hidden ? row[r].hidden : row[r].input;
  Vector<Real> sums[rows][gate_count] = {};
  index_t k = 0;
  for (; k + lanes<Real> <= product.size; k += lanes<Real>) {
    Vector<Real> values[rows];
    for (int r = 0; r < rows; ++r) values[r] = load(vectors[r] + k);
    for (int gate = 0; gate < gate_count; ++gate) {
      const Vector<Real> weight = load(weights[gate] + k);
      for (int r = 0; r < rows; ++r) sums[r][gate] = multiply_add(values[r], weight, sums[r][gate]);
    }
  }
  if (k < product.size) {
    const index_t left = product.size - k;
    for (int gate = 0; gate < gate_count; ++gate) {
      const Vector<Real> weight = load_some(weights[gate] + k, left);
      for (int r = 0; r < rows; ++r) {
        sums[r][gate] = multiply_add(load_some(vectors[r] + k, left), weight, sums[r][gate]);
      }
    }
  }
  const index_t block = unit / lanes<Real>;
  const index_t lane = unit % lanes<Real>;
  for (int gate = 0; gate < gate_count; ++gate) {
    const index_t at = block * product.pre_block_stride + gate * product.pre_gate_stride + lane;
    for (int r = 0; r < rows; ++r) {
      const Real start = product.bias != nullptr ? product.bias[(block * gate_count + gate) * lanes<Real> + lane]
                                                 : row[r].pre_activations[at];
      row[r].pre_activations[at] = start + sum_of_lanes<Real>(sums[r][gate]);
    }
  }
}

template <class Real>
void product_in_place(const ProductInPlace<Real>& product) {
  const index_t first = product.first_block * lanes<Real>;
  const index_t end = product.end_block * lanes<Real> < product.units ? product.end_block * lanes<Real> : product.units;
  for (index_t k = first; k < end; ++k) {
    const index_t unit = product.backwards ? first + end - 1 - k : k;
    for_each_tile<tile_rows>(product.row_count, [&](auto height, index_t first_row) {
      unit_in_place<Real, decltype(height)::value>(product, product.rows + first_row, unit);
    });
  }
}
