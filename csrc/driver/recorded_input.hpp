// driver: what a layer read in the forward call, one row after the other, where the caller's input is not so.
#pragma once

#include "driver/backward_memory.hpp"

namespace lstm_native::driver {

// The outputs of the layer below, from the tape and dropped as they were, or the caller's rows. Each thread stores some
// rows, and meets the others before it reads them.
template <class Real>
void store_layer_input(const BackwardMemory<Real>& memory, index_t layer, const Team& team, Watch& watch);

// What a layer's projections multiplied, from a tape of gates.
template <class Real>
void store_cell_outputs(const BackwardMemory<Real>& memory, index_t layer, const Team& team, Watch& watch);

}  // namespace lstm_native::driver
