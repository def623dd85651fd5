// plan: which batch rows take part in each step, and where their time-major storage lies.
#pragma once

#include <vector>

#include "common/types.hpp"
#include "common/views.hpp"
#include "plan/problem.hpp"

namespace lstm_native::plan {

class ActiveRows {
 public:
  explicit ActiveRows(const Problem& problem);

  // Rows [0, count(step)) are active at a step.
  index_t count(index_t step) const { return offsets_.empty() ? batch_ : offset(step + 1) - offset(step); }

  // The rows of all earlier steps together: a step's first row in time-major storage.
  index_t offset(index_t step) const {
    return offsets_.empty() ? step * batch_ : offsets_[static_cast<std::size_t>(step)];
  }

  index_t total() const { return offset(steps_); }

  // The step that a row of time-major storage belongs to.
  index_t step_of(index_t stored_row) const;

  // Where row `row` of step `step` begins in a caller's sequence.
  template <class Real>
  Real* locate(const SequenceView<Real>& sequence, index_t step, index_t row) const {
    return offsets_.empty() ? sequence.data + step * sequence.time_stride + row * sequence.row_stride
                            : sequence.data + (offset(step) + row) * sequence.row_stride;
  }

  // The distance between consecutive rows of time-major storage in a caller's sequence; 0: they are not evenly spaced.
  template <class Real>
  index_t even_stride(const SequenceView<Real>& sequence) const {
    if (!offsets_.empty() || steps_ == 1) return sequence.row_stride;
    if (batch_ == 1) return sequence.time_stride;
    return sequence.time_stride == batch_ * sequence.row_stride ? sequence.row_stride : 0;
  }

 private:
  index_t steps_;
  index_t batch_;
  std::vector<index_t> offsets_;  // steps_ + 1 of them; empty: every row is active at every step
};

}  // namespace lstm_native::plan
