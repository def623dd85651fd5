// driver: the part of the pre-activations that comes from the input.
#pragma once

#include "driver/layer_share.hpp"

namespace lstm_native::driver {

// For all steps of a chunk at once, where it is not part of each step. All threads of a direction call it, since those
// that project with BLAS meet there.
template <class Real>
void project_input(const Share<Real>& share, plan::Span chunk);

}  // namespace lstm_native::driver
