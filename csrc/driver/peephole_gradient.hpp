// driver: the gradient of a direction's peepholes.
#pragma once

#include "common/interruption.hpp"
#include "driver/gradient_products.hpp"

namespace lstm_native::driver {

// Computes it for some units, over all rows in storage order. accumulate: adds to the gradient. Unfinished if the call
// is cancelled.
template <class Real>
void peephole_gradient(const plan::BackwardPlan& plan, const DirectionProducts<Real>& direction, plan::Span units,
                       bool accumulate, CancellationPoll& poll);

}  // namespace lstm_native::driver
