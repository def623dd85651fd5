// plan: how each weight matrix of a call reaches the multiply-add units.
//
// The bits of a result depend on the path. So the shape decides it, never the matrices' strides or the number of
// threads.
#pragma once

#include "common/types.hpp"

namespace lstm_native::plan {

enum class WeightPath {
  packed,           // the caller's packed weights
  widened,          // those, in 16 bits, copied during the call in as many as sums have
  packed_per_call,  // packed during the call, whole or a unit block at a time
  in_place,         // read where they are, by our kernel
  blas              // read where they are, by BLAS, for many rows at a time
};

inline bool copies_panels(WeightPath path) {
  return path == WeightPath::packed_per_call || path == WeightPath::widened;
}
inline bool reads_panels(WeightPath path) { return path == WeightPath::packed || copies_panels(path); }

// What the rules for plain weights depend on.
struct WeightUses {
  index_t rows;       // that a matrix is multiplied with, over all steps
  bool in_one_chunk;  // the input of all steps is projected at once
  bool even_rows;     // the layer's input rows have one distance, which BLAS can express
};

// Of packed weights in 16 bits. steps: of the call.
WeightPath path_of_halves(index_t rows, index_t steps);
// W_ih (4 * units, columns).
WeightPath plain_input_path(const WeightUses& uses, index_t units, index_t columns);
WeightPath plain_hidden_path(const WeightUses& uses);
// W_hr (outputs, units).
WeightPath plain_projection_path(const WeightUses& uses, index_t outputs);

// Whether BLAS can step over rows of `columns` elements that are `stride` apart.
bool blas_steps_over(index_t stride, index_t columns);

}  // namespace lstm_native::plan
