// plan: which batch rows take part in each step, and where their time-major storage lies.
#pragma once

#include <vector>

#include "common/types.hpp"
#include "common/views.hpp"
#include "plan/problem.hpp"

namespace lstm_native::plan {

// Rows are numbered by falling length, so the active rows of a step come first. Our own storage (between layers, on the
// tape) holds only active rows, step after step.
class ActiveRows {
 public:
  // steps_listed: count() and offset() may be called; a ragged batch keeps a list of all steps for them.
  explicit ActiveRows(const Problem& problem, bool steps_listed = true);

  // Rows [0, count(step)) are active at a step.
  index_t count(index_t step) const { return offsets_.empty() ? batch_ : offset(step + 1) - offset(step); }

  // The number of active rows in all earlier steps, which is the place of a step's first row in storage.
  index_t offset(index_t step) const {
    return offsets_.empty() ? step * batch_ : offsets_[static_cast<std::size_t>(step)];
  }

  index_t total() const { return total_; }

  // The steps that a row takes part in are [0, length(row)).
  index_t length(index_t row) const { return lengths_.empty() ? steps_ : lengths_[static_cast<std::size_t>(row)]; }

  // The row's place in the caller's batch.
  index_t callers_row(index_t row) const { return order_.empty() ? row : order_[static_cast<std::size_t>(row)]; }

  // Where row `row` of step `step` begins in a caller's sequence.
  template <class Real>
  Real* locate(const SequenceView<Real>& sequence, index_t step, index_t row) const {
    return packed_ ? sequence.data + (offset(step) + row) * sequence.row_stride
                   : sequence.data + step * sequence.time_stride + callers_row(row) * sequence.row_stride;
  }

  // The row's place in our own storage.
  index_t stored(index_t step, index_t row) const { return offset(step) + row; }

  // The distance between consecutive active rows of a caller's sequence. 0: the distances differ.
  template <class Real>
  index_t even_stride(const SequenceView<Real>& sequence) const {
    return even_stride(sequence.time_stride, sequence.row_stride);
  }
  index_t even_stride(index_t time_stride, index_t row_stride) const {
    if (packed_) return row_stride;
    if (!lengths_.empty()) return 0;
    if (steps_ == 1) return row_stride;
    if (batch_ == 1) return time_stride;
    return time_stride == batch_ * row_stride ? row_stride : 0;
  }

 private:
  index_t steps_;
  index_t batch_;
  index_t total_;
  bool packed_;                   // the caller's sequence holds only active rows
  std::vector<index_t> offsets_;  // steps_ + 1 elements; empty: all steps are alike, or not listed
  std::vector<index_t> lengths_;  // of each row, falling; empty: every row has steps_ steps
  std::vector<index_t> order_;    // the caller's row of each of our rows; empty: the same row
};

}  // namespace lstm_native::plan
