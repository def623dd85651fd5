// driver: the output past the ends of a padded batch's sequences.
#pragma once

#include <algorithm>

#include "common/interruption.hpp"
#include "common/views.hpp"
#include "plan/active_rows.hpp"
#include "plan/plan.hpp"

namespace lstm_native::driver {

// Writes zeros there, `width` per step.
template <class Real>
void clear_past_ends(const plan::Plan& plan, const SequenceView<Real>& sequence, index_t width,
                     Interruption& interruption) {
  if (plan.problem.lengths.empty()) return;
  CancellationPoll poll(interruption, /*asks=*/true);
  for (index_t row = 0; row < plan.problem.batch; ++row) {
    for (index_t step = plan.rows.length(row); step < plan.problem.seq_len; ++step) {
      if (poll.cancelled(width * copy_work)) return;
      Real* begin = plan.rows.locate(sequence, step, row);
      std::fill(begin, begin + width, Real{0});
    }
  }
}

}  // namespace lstm_native::driver
