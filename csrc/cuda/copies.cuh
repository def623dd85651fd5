// cuda: between callers' arrays, of any strides and order of rows, and storage of our own.
#pragma once

#include <type_traits>

#include "common/views.hpp"
#include "cuda/device_span.cuh"
#include "cuda/launch.cuh"

namespace lstm_native::cuda {

// Which rows take part in which steps (plan::ActiveRows, on the device).
struct DeviceRows {
  DeviceSpan<index_t> offsets;  // steps + 1: the rows of all earlier steps together
  DeviceSpan<index_t> order;    // batch: the caller's row of each of ours
  index_t steps = 0;
};

// A caller's sequence, (step, row, feature) or, where rows are packed, (0, row, feature).
template <class Real>
struct CallersSequence {
  StridedSpan<Real> span;
  bool packed = false;

  __device__ index_t at(const DeviceRows& rows, index_t step, index_t row, index_t feature) const {
    return packed ? span.at(0, rows.offsets.load(step) + row, feature) : span.at(step, rows.order.load(row), feature);
  }
};

// What is read is const.
template <class Real, bool to_storage>
using Callers = std::conditional_t<to_storage, const Real, Real>;

// columns: batch times width; rows: steps.
template <class Real, bool to_storage>
__global__ void copy_sequence(CallersSequence<Callers<Real, to_storage>> callers, DeviceSpan<Real> storage,
                              DeviceRows rows, index_t width) {
  const index_t column = column_of_thread();
  const index_t row = column / width;
  const index_t feature = column - row * width;
  for (index_t step = blockIdx.y; step < rows.steps; step += gridDim.y) {
    const index_t first = rows.offsets.load(step);
    if (row >= rows.offsets.load(step + 1) - first) continue;
    const index_t stored = (first + row) * width + feature;
    const index_t at = callers.at(rows, step, row, feature);
    if constexpr (to_storage) {
      storage.store(stored, callers.span.memory.load(at));
    } else {
      callers.span.memory.store(at, storage.load(stored));
    }
  }
}

// (states, batch, units), with rows in the caller's order there and in ours here. To storage, an absent array counts as
// zeros.
// columns: batch times units; rows: states.
template <class Real, bool to_storage>
__global__ void copy_states(StridedSpan<Callers<Real, to_storage>> callers, DeviceSpan<Real> storage, DeviceRows rows,
                            index_t batch, index_t units, index_t states) {
  const index_t column = column_of_thread();
  if (column >= batch * units) return;
  const index_t row = column / units;
  const index_t unit = column - row * units;
  for (index_t state = blockIdx.y; state < states; state += gridDim.y) {
    const index_t stored = state * batch * units + column;
    const index_t at = callers.at(state, rows.order.load(row), unit);
    if constexpr (to_storage) {
      storage.store(stored, callers.absent() ? Real{0} : callers.memory.load(at));
    } else {
      callers.memory.store(at, storage.load(stored));
    }
  }
}

// A matrix to C order. columns: of the matrix; rows: of the matrix.
template <class Real>
__global__ void copy_matrix(StridedSpan<const Real> from, DeviceSpan<Real> to, index_t rows, index_t columns) {
  const index_t column = column_of_thread();
  if (column >= columns) return;
  for (index_t row = blockIdx.y; row < rows; row += gridDim.y) {
    to.store(row * columns + column, from.memory.load(from.at(0, row, column)));
  }
}

// The sum of two biases, each of which may be absent.
template <class Real>
__global__ void sum_biases(StridedSpan<const Real> a, StridedSpan<const Real> b, DeviceSpan<Real> to, index_t count) {
  const index_t k = column_of_thread();
  if (k >= count) return;
  Real sum{0};
  if (!a.absent()) sum += a.memory.load(a.at(0, 0, k));
  if (!b.absent()) sum += b.memory.load(b.at(0, 0, k));
  to.store(k, sum);
}

template <class Element>
__global__ void fill(DeviceSpan<Element> to, Element value) {
  const index_t k = column_of_thread();
  if (k < to.size) to.store(k, value);
}

// The launches of the above.

template <class Real>
void take_matrix(cudaStream_t stream, const MatrixView<const Real>& from, const DeviceSpan<Real>& to) {
  const StridedSpan<const Real> span =
      strided_span<const Real>(from.data, {1, from.rows, from.columns}, {0, from.row_stride, from.column_stride});
  launch(stream, from.columns, from.rows, 1, copy_matrix<Real>, span, to, from.rows, from.columns);
}

template <class Real>
void take_biases(cudaStream_t stream, const VectorView<const Real>& a, const VectorView<const Real>& b,
                 const DeviceSpan<Real>& to) {
  const auto span = [&](const VectorView<const Real>& v) {
    return strided_span<const Real>(v.data, {1, 1, to.size}, {0, 0, v.stride});
  };
  launch(stream, to.size, 1, 1, sum_biases<Real>, span(a), span(b), to, to.size);
}

}  // namespace lstm_native::cuda
