// driver: the hidden states of a step where they are a projection: h_t = W_hr times what the cells give.
#pragma once

#include <algorithm>

#include "driver/layer_share.hpp"

namespace lstm_native::driver {

// Of the hidden state.
template <class Real>
plan::Span own_projected(const Share<Real>& share) {
  const index_t block = share.plan.block_elements();
  const index_t size = share.plan.problem.output_size;
  return {std::min(share.output_blocks.begin * block, size), std::min(share.output_blocks.end * block, size)};
}

// The part of one thread, which computes some blocks of the hidden state of its rows.
template <class Real>
class HiddenProjection {
 public:
  explicit HiddenProjection(const Share<Real>& share);

  // After the kernels' part of a step, whose rows are at the beginning of the table. Their next_hidden, where the
  // cells' outputs are, becomes their place in the layer's output. Waits until the threads that share the rows have
  // come so far. False: cancelled.
  bool run(index_t step, index_t row_count, bool backwards);

 private:
  bool multiply(index_t row_count, bool backwards);
  bool multiply_in_place(index_t row_count);

  const Share<Real>& share_;
  kernels::StepForward<Real> product_;
  Parts parts_;
};

}  // namespace lstm_native::driver
