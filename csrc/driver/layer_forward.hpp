// driver: one layer, all its directions, over a whole sequence.
#pragma once

#include "common/views.hpp"
#include "plan/plan.hpp"

namespace lstm_native::driver {

template <class Real>
struct DirectionWeights {
  MatrixView<const Real> input;           // (4 * cell_size, layer's input size), blas::readable
  MatrixView<const Real> recurrent;       // (4 * cell_size, output_size), blas::readable
  VectorView<const Real> input_bias;      // (4 * cell_size), or absent
  VectorView<const Real> recurrent_bias;  // (4 * cell_size), or absent
};

// What one direction of a layer reads and writes. No two of its pointers may overlap.
template <class Real>
struct DirectionForward {
  const DirectionWeights<Real>* weights;
  bool reverse;
  Real* bias;                 // (4, cell_size): overwritten with both biases, added
  Real* gates;                // (rows, 4, cell_size): overwritten; activated gates if keep_gates, else unspecified
  Real* hidden;               // (batch, output_size): initial state in, final state out
  Real* cell;                 // (batch, cell_size): initial state in, final state out
  SequenceView<Real> output;  // this direction's columns; feature_stride 1; overwritten
  Real* cell_tape;            // (rows, cell_size): overwritten; null: not kept
};

template <class Real>
struct LayerForward {
  index_t layer;
  SequenceView<const Real> input;
  Real* gathered_input;  // per thread, gathered_input_stride apart; null: input's rows are evenly spaced
  index_t gathered_input_stride;
  DirectionForward<Real> directions[2];
  bool keep_gates;
};

// Whether the input projection can read the sequence where it lies.
template <class Real>
bool projects_in_place(const plan::Plan& plan, const SequenceView<const Real>& input);

template <class Real>
void layer_forward(const plan::Plan& plan, const LayerForward<Real>& layer);

}  // namespace lstm_native::driver
