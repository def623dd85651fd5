// driver: the whole stack of layers backward, from a tape.
#pragma once

#include "driver/gradient_products.hpp"
#include "driver/layer_backward.hpp"
#include "plan/backward_plan.hpp"
#include "plan/tape.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::driver {

// The forward call's input, and what it kept.
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
  const WeightGradients<Real>* cells;  // of all num_layers * num_directions cells; null: not wanted
  bool accumulate;                     // adds to the gradients instead of overwriting them
};

// Inputs are read only. No output may overlap an input or another output. Data null: a given gradient is zero, a
// gradient to compute is not wanted.
template <class Real>
struct StackBackward {
  RecordedForward<Real> forward;
  StateView<const Real> hidden_initial, cell_initial;  // unit_stride 1
  const CellWeights<Real>* weights;  // of all num_layers * num_directions cells, none packed; W_ih readable
  // The weights and biases as the forward call read them; only with a tape of hidden states.
  const CellWeights<Real>* forward_weights;
  SequenceView<const Real> output_gradient;                          // feature_stride 1
  StateView<const Real> hidden_final_gradient, cell_final_gradient;  // unit_stride 1
  SequenceView<Real> input_gradient;  // feature_stride 1; overwritten, with zeros past a sequence's end
  Real* hidden_gradient;              // (layers * directions, batch, output_size), contiguous; overwritten
  Real* cell_gradient;                // (layers * directions, batch, cell_size), contiguous; overwritten
  StackWeightGradients<Real> weight_gradients;
  // What stack_weight_gradients reads. It is laid out as a tape, with the gradients of the pre-activations in place of
  // the gates, and h_(t-1) in place of c_t. Overwritten; null: not wanted.
  Real* workspace;
};

// Both functions throw std::bad_alloc or std::length_error before they have written anything. If the interruption is
// requested, they end early with unfinished results.

// Computes all gradients that are wanted.
template <class Real>
void stack_backward(const plan::Plan& forward, const StackBackward<Real>& stack, Interruption& interruption);

// Computes the gradients of the weights, from the workspace that stack_backward filled.
template <class Real>
void stack_weight_gradients(const plan::Plan& forward, const RecordedForward<Real>& recorded, const Real* workspace,
                            const StackWeightGradients<Real>& wanted, Interruption& interruption);

}  // namespace lstm_native::driver
