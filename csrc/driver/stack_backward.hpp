// driver: the whole stack of layers backward, from a tape.
#pragma once

#include "driver/gradient_products.hpp"
#include "driver/layer_backward.hpp"
#include "plan/backward_plan.hpp"
#include "plan/tape.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::driver {

// What the forward call read and kept.
template <class Real>
struct RecordedForward {
  SequenceView<const Real> input;  // feature_stride 1
  const Real* tape;                // of plan::TapeLayout
  plan::TapeForm tape_form;
  rng::DropoutStream dropout;
};

// Where the gradients of all weights go.
template <class Real>
struct StackWeightGradients {
  const WeightGradients<Real>* cells;  // num_layers * num_directions of them; null: not wanted
  bool accumulate;                     // they are added to
};

// Inputs are read only. No output may overlap an input or another output. A gradient's data null: it is zero where it
// is given, not wanted where it is asked for.
template <class Real>
struct StackBackward {
  RecordedForward<Real> forward;
  StateView<const Real> hidden_initial, cell_initial;  // unit_stride 1
  const CellWeights<Real>* weights;  // num_layers * num_directions of them, none packed; W_ih readable
  // With a tape of hidden states: the weights as the forward call read them, biases included.
  const CellWeights<Real>* forward_weights;
  SequenceView<const Real> output_gradient;                          // feature_stride 1
  StateView<const Real> hidden_final_gradient, cell_final_gradient;  // unit_stride 1
  SequenceView<Real> input_gradient;  // feature_stride 1; overwritten, with zeros past an end
  Real* hidden_gradient;              // (layers * directions, batch, output_size), contiguous; overwritten
  Real* cell_gradient;                // (layers * directions, batch, cell_size), contiguous; overwritten
  StackWeightGradients<Real> weight_gradients;
  // Laid out as a tape, with the pre-activations' gradients where the gates are there, and h_(t-1) in place of c_t:
  // what stack_weight_gradients reads. Overwritten; null: not wanted.
  Real* workspace;
};

// Both throw std::bad_alloc or std::length_error before they have written anything. If the interruption is requested,
// they end early with unfinished results.

// All gradients that are wanted.
template <class Real>
void stack_backward(const plan::Plan& forward, const StackBackward<Real>& stack, Interruption& interruption);

// Those of the weights, from the workspace that stack_backward filled.
template <class Real>
void stack_weight_gradients(const plan::Plan& forward, const RecordedForward<Real>& recorded, const Real* workspace,
                            const StackWeightGradients<Real>& wanted, Interruption& interruption);

}  // namespace lstm_native::driver
