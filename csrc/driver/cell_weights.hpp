// driver: the weights of one direction of one layer.
#pragma once

#include "blas/blas.hpp"
#include "common/views.hpp"
#include "plan/weight_path.hpp"

namespace lstm_native::driver {

// Plain, or packed.
template <class Real>
struct CellWeights {
  MatrixView<const Real> input;        // (4 * cell_size, layer's input size); data null: packed
  MatrixView<const Real> hidden;       // (4 * cell_size, output_size)
  MatrixView<const Real> projection;   // (output_size, cell_size), or absent
  VectorView<const Real> input_bias;   // (4 * cell_size), or absent
  VectorView<const Real> hidden_bias;  // (4 * cell_size), or absent
  const Real* peephole = nullptr;      // (3, cell_size), contiguous, packed or not; null: absent
  const void* input_panels = nullptr;  // packed as kernels/kernel_table.hpp says
  const void* hidden_panels = nullptr;
  const Real* bias_panel = nullptr;
  const void* projection_panels = nullptr;
  const Real* projection_bias = nullptr;  // zeros
  bool packed() const { return input_panels != nullptr; }
};

// Whether the path can read the matrix where it is. If not, it needs a copy in C order.
template <class Real>
bool reads_in_place(plan::WeightPath path, const MatrixView<const Real>& matrix) {
  if (path == plan::WeightPath::in_place) return matrix.column_stride == 1;
  return path != plan::WeightPath::blas || blas::readable(matrix);
}

}  // namespace lstm_native::driver
