// cuda: copies between callers' arrays, with any strides and order of rows, and a plan's storage.
#pragma once

#include <type_traits>

#include "common/views.hpp"
#include "cuda/copy_jobs.cuh"
#include "cuda/device_span.cuh"
#include "cuda/launch.cuh"

namespace lstm_native::cuda {

// Which rows take part in which steps (plan::ActiveRows, on the device).
struct DeviceRows {
  DeviceSpan<index_t> offsets;  // steps + 1: the rows of all earlier steps together
  DeviceSpan<index_t> order;    // batch: the caller's row of each of ours
  index_t steps = 0;
};

// The element type of callers' arrays: const where they are read.
template <class Real, bool to_storage>
using Callers = std::conditional_t<to_storage, const Real, Real>;

// Copies (steps, batch, width). The caller's array has all rows, in the caller's order. Storage has only the rows that
// take part in a step.
// columns: batch times width; rows: steps.
template <class Real, bool to_storage>
__global__ void copy_sequence(StridedSpan<Callers<Real, to_storage>> callers, DeviceSpan<Real> storage, DeviceRows rows,
                              index_t width) {
  const index_t column = column_of_thread();
  const index_t row = column / width;
  const index_t feature = column - row * width;
  for (index_t step = blockIdx.y; step < rows.steps; step += gridDim.y) {
    const index_t first = rows.offsets.load(step);
    if (row >= rows.offsets.load(step + 1) - first) continue;
    const index_t stored = (first + row) * width + feature;
    const index_t at = callers.at(step, rows.order.load(row), feature);
    if constexpr (to_storage) {
      storage.store(stored, callers.memory.load(at));
    } else {
      callers.memory.store(at, storage.load(stored));
    }
  }
}

// Copies (states, batch, units). Rows are in the caller's order in the caller's array, in the plan's order in storage.
// To storage, an absent array counts as zeros.
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

template <class Element>
__global__ void fill(DeviceSpan<Element> to, Element value) {
  const index_t k = column_of_thread();
  if (k < to.size) to.store(k, value);
}

// Adds a copy of a matrix, to C order.
template <class Real>
void add_matrix(Copies<Real>& copies, const MatrixView<const Real>& from, const DeviceSpan<Real>& to) {
  const index_t sizes[3] = {1, from.rows, from.columns};
  copies.add_to_storage(strided_span<const Real>(from.data, sizes, {0, from.row_stride, from.column_stride}), to,
                        sizes);
}

// Adds the sum of two biases; either may be absent.
template <class Real>
void add_biases(Copies<Real>& copies, const VectorView<const Real>& a, const VectorView<const Real>& b,
                const DeviceSpan<Real>& to) {
  const index_t sizes[3] = {1, 1, to.size};
  const auto span = [&](const VectorView<const Real>& v) {
    return strided_span<const Real>(v.data, sizes, {0, 0, v.stride});
  };
  copies.add_to_storage(span(a), to, sizes, span(b));
}

}  // namespace lstm_native::cuda
