// driver: how each weight matrix of a call reaches the multiply-add units.
#pragma once

#include "common/views.hpp"
#include "plan/plan.hpp"

namespace lstm_native::driver {

enum class WeightPath {
  packed,           // the caller's PackedWeights
  packed_per_call,  // packed during the call, whole or a unit block at a time
  in_place,         // read as they lie by our kernel
  blas              // read as they lie by BLAS, for many rows at a time
};

// The weights of one direction of one layer: plain, or packed.
template <class Real>
struct CellWeights {
  MatrixView<const Real> input;        // (4 * cell_size, layer's input size); data null: packed
  MatrixView<const Real> hidden;       // (4 * cell_size, output_size)
  VectorView<const Real> input_bias;   // (4 * cell_size), or absent
  VectorView<const Real> hidden_bias;  // (4 * cell_size), or absent
  const void* input_panels = nullptr;  // packed as kernels/kernel_table.hpp says
  const void* hidden_panels = nullptr;
  const Real* bias_panel = nullptr;
  bool packed() const { return input_panels != nullptr; }
};

// The rules for weights that are not packed, which the bits of a result depend on: the shape decides, not the matrices'
// layout or the number of threads. even_rows: whether the layer's input lies at even distances.
WeightPath input_path(const plan::Plan& plan, index_t layer, bool even_rows);
WeightPath hidden_path(const plan::Plan& plan);

// Whether that path can read the matrix where it lies; else it needs a copy in C order.
template <class Real>
bool reads_in_place(WeightPath path, const MatrixView<const Real>& matrix);

}  // namespace lstm_native::driver
