// common: strided views of the caller's memory. Strides count elements and may be negative where a comment does not
// forbid it. A view owns nothing.
#pragma once

#include "common/types.hpp"

namespace lstm_native {

template <class Real>
struct VectorView {
  Real* data = nullptr;  // null: absent
  index_t stride = 1;
};

// A weight matrix (rows, columns), for example (4 * cell_size, input_size).
template <class Real>
struct MatrixView {
  Real* data = nullptr;
  index_t rows = 0;
  index_t columns = 0;
  index_t row_stride = 0;
  index_t column_stride = 0;
};

// A sequence of features: (time, batch, features), or (packed rows, features), whose time_stride is then unused.
template <class Real>
struct SequenceView {
  Real* data = nullptr;
  index_t time_stride = 0;
  index_t row_stride = 0;
  index_t feature_stride = 1;
};

// Rows of one width, one after the other: what is stored between layers, on a tape, or of one state.
template <class Real>
struct StoredRows {
  Real* data = nullptr;  // null: absent
  index_t width = 0;
  Real* row(index_t index) const { return data + index * width; }
};

// A hidden or cell state of the whole stack: (layer * directions + direction, batch, units).
template <class Real>
struct StateView {
  Real* data = nullptr;
  index_t layer_stride = 0;
  index_t row_stride = 0;
  index_t unit_stride = 1;
};

}  // namespace lstm_native
