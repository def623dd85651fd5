// driver: a layer's input in the forward call, stored row after row.
#pragma once

#include "driver/backward_memory.hpp"

namespace lstm_native::driver {

// Stores the outputs of the layer below, from the tape and with the call's dropout masks; or the caller's rows. Each
// thread stores some rows, and waits for the others before it reads them.
template <class Real>
void store_layer_input(const BackwardMemory<Real>& memory, index_t layer, const Team& team, CancellationPoll& poll);

// Stores what a layer's projections multiplied, from a tape of gates.
template <class Real>
void store_cell_outputs(const BackwardMemory<Real>& memory, index_t layer, const Team& team, CancellationPoll& poll);

}  // namespace lstm_native::driver
