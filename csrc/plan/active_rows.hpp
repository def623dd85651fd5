// plan: which batch rows take part in each step, and where their time-major storage lies.
#pragma once

#include <vector>

#include "common/types.hpp"
#include "common/views.hpp"
#include "plan/problem.hpp"

namespace lstm_native::plan {

// Rows are numbered by falling length, so that the active ones are always the first. Storage of our own (between
// layers, on the tape) holds the active rows alone, step after step.
class ActiveRows {
 public:
  // `steps_listed`: count() and offset() can be asked, of a ragged batch from a list of all steps.
  explicit ActiveRows(const Problem& problem, bool steps_listed = true);

  // Rows [0, count(step)) are active at a step.
  index_t count(index_t step) const { return offsets_.empty() ? batch_ : offset(step + 1) - offset(step); }

  // The rows of all earlier steps together: a step's first row in storage.
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

  // Its number among the rows of storage of our own.
  index_t stored(index_t step, index_t row) const { return offset(step) + row; }

  // The distance between consecutive active rows in a caller's sequence; 0: they are not evenly spaced.
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
  bool packed_;                   // the caller's sequence holds the active rows alone
  std::vector<index_t> offsets_;  // steps_ + 1 of them; empty: steps are all alike, or not listed
  std::vector<index_t> lengths_;  // per row, falling; empty: all are steps_
  std::vector<index_t> order_;    // the caller's row of each of ours; empty: the same
};

}  // namespace lstm_native::plan
