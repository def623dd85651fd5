// bindings: the weights of a call: lists of arrays, or packed.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <atomic>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/arrays.hpp"
#include "driver/stack_forward.hpp"
#include "plan/packed_weights.hpp"
#include "plan/plan.hpp"

namespace lstm_native::bindings {

// w_ih, w_hh, b_ih or None, b_hh or None
using WeightArrays = std::tuple<py::array, py::array, py::object, py::object>;

// The sizes that weights have.
struct WeightSizes {
  index_t input_size;
  index_t hidden_size;
  index_t num_layers;
  index_t num_directions;
};

// Immutable once made, so that any number of threads may share it. 16-bit matrices come as uint16.
class PackedWeights {
 public:
  PackedWeights(const std::vector<WeightArrays>& weights, bool bidirectional, const std::string& weight_dtype);

  const WeightSizes& sizes() const { return sizes_; }
  Dtype dtype() const { return dtype_; }
  plan::WeightDtype weight_dtype() const { return weight_dtype_; }
  index_t bytes() const { return layout_.bytes(); }
  // The matrices of a cell as they were given: w_ih, w_hh.
  py::tuple matrices(index_t cell) const;

  template <class Real>
  const std::vector<driver::CellWeights<Real>>& cells() const;

  // Which end of the weights a call should begin with, alternately: the end where the last call stopped is still in the
  // cache. It changes no result.
  bool begin_backwards() const { return calls_.fetch_add(1, std::memory_order_relaxed) % 2 == 1; }

 private:
  template <class Real, class Element>
  void fill(const std::vector<WeightArrays>& weights, std::vector<driver::CellWeights<Real>>& cells);
  template <class Element>
  py::array unpacked(index_t offset, index_t size) const;

  WeightSizes sizes_;
  Dtype dtype_;
  plan::WeightDtype weight_dtype_;
  plan::PackedLayout layout_;
  AlignedBuffer memory_;
  std::vector<driver::CellWeights<float>> float32_cells_;
  std::vector<driver::CellWeights<double>> float64_cells_;
  mutable std::atomic<unsigned> calls_{0};
};

// How a call with plain weights stores its arrays. input: time-major, or packed.
template <class Real>
plan::Storage storage_of(const py::array& input) {
  plan::Storage storage{dtype_of<Real>};
  if (input.ndim() == 3) storage.input_time_stride = stride_of<Real>(input, 0);
  storage.input_row_stride = stride_of<Real>(input, input.ndim() - 2);
  return storage;
}

// Views of plain weights, checked against the plan's sizes. An array may be replaced by a copy that its path can read.
template <class Real>
std::vector<driver::CellWeights<Real>> plain_weights(const plan::Plan& plan, std::vector<WeightArrays>& arrays);

}  // namespace lstm_native::bindings
