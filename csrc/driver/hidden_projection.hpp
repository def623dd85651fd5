// driver: the hidden states of a step with a projection: h_t = W_hr times the cells' outputs.
#pragma once

#include <algorithm>

#include "driver/layer_share.hpp"

namespace lstm_native::driver {

// The units of the hidden state that a thread computes.
template <class Real>
plan::Span own_projected(const Share<Real>& share) {
  const index_t block = share.plan.block_elements();
  const index_t size = share.plan.problem.output_size;
  return {std::min(share.output_blocks.begin * block, size), std::min(share.output_blocks.end * block, size)};
}

// One thread's part: some blocks of the hidden state of its rows.
template <class Real>
class HiddenProjection {
 public:
  explicit HiddenProjection(const Share<Real>& share);

  // To be called after a step's kernels, with the step's rows at the beginning of the table. next_hidden points to a
  // row's cell outputs before the call, and to its place in the layer's output afterwards. Waits for the threads that
  // share the rows. False: cancelled.
  bool run(index_t step, index_t row_count, bool blocks_descending);

 private:
  bool multiply(index_t row_count, bool blocks_descending);
  bool multiply_in_place(index_t row_count);

  const Share<Real>& share_;
  kernels::StepForward<Real> product_;
  Parts parts_;
};

}  // namespace lstm_native::driver
