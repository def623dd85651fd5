// driver: the part of the pre-activations that comes from the input.
#pragma once

#include "driver/layer_share.hpp"

namespace lstm_native::driver {

// Computes it for all steps of a chunk, unless it is part of each step. All threads of a direction call it: with BLAS
// they wait for each other.
template <class Real>
void project_input(const Share<Real>& share, plan::Span chunk);

}  // namespace lstm_native::driver
