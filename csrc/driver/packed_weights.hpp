// driver: a stack's weights, packed once for many calls.
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "common/aligned_buffer.hpp"
#include "common/interruption.hpp"
#include "driver/cell_weights.hpp"
#include "plan/packed_layout.hpp"

namespace lstm_native::driver {

// Immutable once made, so any number of threads may share it.
class PackedWeights {
 public:
  // format: a place in kernels::KernelsOf::formats; specs: of each direction; plain: each cell's weights, of these
  // sizes and with peepholes if the specs have them. They are copied. Weights whose interruption was requested must not
  // be used.
  template <class Real>
  PackedWeights(const plan::StackSizes& sizes, int format, const std::array<CellSpec, 2>& specs,
                const std::vector<CellWeights<Real>>& plain, Interruption& interruption);

  const plan::StackSizes& sizes() const { return sizes_; }
  Dtype dtype() const { return dtype_; }
  int format() const { return format_; }
  // What calls compute that say nothing else.
  const std::array<CellSpec, 2>& specs() const { return specs_; }
  index_t bytes() const { return layout_.bytes(); }
  const plan::PackedLayout& layout() const { return layout_; }

  // As calls of this problem read them; std::invalid_argument where the problem or the type does not fit them.
  template <class Real>
  const CellWeights<Real>* cells_for(const plan::Problem& problem) const;
  // One step of `batch` sequences with these weights; std::invalid_argument where they have two directions.
  plan::Problem step_problem(index_t batch, int threads, const std::array<CellSpec, 2>& specs) const;

  // to: (rows, columns), contiguous; the values that were packed, or that they were rounded to.
  template <class Real>
  void unpack(const plan::PackedMatrix& matrix, Real* to, Interruption& interruption) const;

  // Which end of the weights a call should begin with, alternately: the end where the last call stopped is still in the
  // cache. It changes no result.
  bool begins_descending() const { return calls_.fetch_add(1, std::memory_order_relaxed) % 2 == 1; }

 private:
  void require_peepholes(const std::array<CellSpec, 2>& specs) const;
  template <class Real>
  void pack_matrix(const MatrixView<const Real>& matrix, const plan::PackedMatrix& place, CancellationPoll& poll);
  template <class Real>
  void pack(index_t cell, const CellWeights<Real>& plain, CancellationPoll& poll);
  template <class Real>
  CellWeights<Real> packed_cell(index_t cell) const;
  template <class Real>
  const std::vector<CellWeights<Real>>& cells() const;

  plan::StackSizes sizes_;
  Dtype dtype_;
  int format_;
  std::array<CellSpec, 2> specs_;
  plan::PackedLayout layout_;
  AlignedBuffer memory_;
  std::vector<CellWeights<float>> float32_cells_;  // one of the two is empty
  std::vector<CellWeights<double>> float64_cells_;
  mutable std::atomic<unsigned> calls_{0};
};

}  // namespace lstm_native::driver
