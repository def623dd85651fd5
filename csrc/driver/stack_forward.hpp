// driver: the whole stack of layers.
#pragma once

#include "driver/layer_forward.hpp"
#include "plan/plan.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::driver {

// Inputs are read only. No output may overlap an input or another output.
template <class Real>
struct StackForward {
  SequenceView<const Real> input;                      // any strides
  StateView<const Real> hidden_initial, cell_initial;  // any strides
  const DirectionWeights<Real>* weights;               // num_layers * num_directions of them
  SequenceView<Real> output;                           // feature_stride 1; overwritten
  Real* hidden_final;  // (layers * directions, batch, output_size), contiguous; overwritten
  Real* cell_final;    // (layers * directions, batch, cell_size), contiguous; overwritten
  Real* tape;          // plan::TapeLayout's elements, overwritten; null: keep nothing
  rng::DropoutStream dropout;
};

// Throws std::bad_alloc or std::length_error before it has written anything.
template <class Real>
void stack_forward(const plan::Plan& plan, const StackForward<Real>& stack);

}  // namespace lstm_native::driver
