// bindings: weights that are packed once for many calls.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <atomic>
#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/description.hpp"
#include "common/aligned_buffer.hpp"
#include "driver/cell_weights.hpp"
#include "plan/packed_weights.hpp"
#include "plan/plan.hpp"

namespace lstm_native::bindings {

// Immutable once made, so that any number of threads may share it. 16-bit matrices come as uint16; those that are to be
// packed in 8 bits as float, without infinities and NaNs.
class PackedWeights {
 public:
  // weights: of `_weights.CellWeights`; format: a name of plan::WeightDtype; cell: a `_cell.Cell`.
  PackedWeights(const py::object& weights, bool bidirectional, const std::string& format, const py::object& cell);

  const plan::StackSizes& sizes() const { return sizes_; }
  Dtype dtype() const { return dtype_; }
  plan::WeightDtype weight_dtype() const { return weight_dtype_; }
  // The name that it was made with.
  const std::string& format() const { return format_; }
  bool has_peepholes() const { return !peepholes_.empty(); }
  // What calls compute that say nothing else.
  const std::array<CellSpec, 2>& cell() const { return cell_; }
  index_t bytes() const;
  // The matrices of a cell as they were given, or rounded to 8 bits: w_ih, w_hh, and w_hr where there is a projection.
  py::tuple matrices(index_t cell) const;

  template <class Real>
  const std::vector<driver::CellWeights<Real>>& cells() const;

  // Which end of the weights a call should begin with, alternately: the end where the last call stopped is still in the
  // cache. It changes no result.
  bool begin_backwards() const { return calls_.fetch_add(1, std::memory_order_relaxed) % 2 == 1; }

 private:
  PackedWeights(const std::vector<CellArrays>& weights, bool bidirectional, const std::string& format);
  template <class Real, class Element>
  void fill(const std::vector<CellArrays>& weights, std::vector<driver::CellWeights<Real>>& cells);
  template <class Real>
  const Real* kept_peephole(py::object peephole);
  template <class Element>
  py::array unpacked(index_t offset, index_t rows, index_t columns, plan::RowOrder order) const;

  plan::StackSizes sizes_;
  Dtype dtype_;
  plan::WeightDtype weight_dtype_;
  std::string format_;
  plan::PackedLayout layout_;
  AlignedBuffer memory_;
  std::array<CellSpec, 2> cell_{};        // of each direction
  std::vector<AlignedBuffer> peepholes_;  // of each layer and direction, where they are
  std::vector<driver::CellWeights<float>> float32_cells_;
  std::vector<driver::CellWeights<double>> float64_cells_;
  mutable std::atomic<unsigned> calls_{0};
};

template <>
const std::vector<driver::CellWeights<float>>& PackedWeights::cells<float>() const;
template <>
const std::vector<driver::CellWeights<double>>& PackedWeights::cells<double>() const;

// One step of `batch` sequences with these weights. std::invalid_argument unless they are of one direction, and have
// peepholes where the cell has them.
plan::Problem problem_of_step(const PackedWeights& packed, index_t batch, int threads,
                              const std::array<CellSpec, 2>& cells);

}  // namespace lstm_native::bindings
