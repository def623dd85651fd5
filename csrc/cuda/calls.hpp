// cuda: the calls that the target offers. Host code can include this header.
#pragma once

#include <cuda_runtime.h>

#include <utility>
#include <vector>

#include "common/views.hpp"
#include "cuda/options.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::cuda {

// The weights of one layer and direction where the caller has them. A bias may be absent.
template <class Real>
struct CellWeights {
  MatrixView<const Real> input;   // (4 * units, layer's input size)
  MatrixView<const Real> hidden;  // (4 * units, units)
  VectorView<const Real> input_bias, hidden_bias;
};

// Views of the caller's device memory, with any strides. No output may overlap an input or another output.
template <class Real>
struct ForwardCall {
  SequenceView<const Real> input;
  StateView<const Real> hidden_initial, cell_initial;
  std::vector<CellWeights<Real>> weights;  // num_layers * num_directions
  SequenceView<Real> output;               // overwritten, but for rows past an end
  StateView<Real> hidden_final, cell_final;
  Real* tape;  // of plan::TapeLayout; null: none is kept
  rng::DropoutStream dropout;
};

// Where the gradients of one layer's and direction's weights go: matrices without gaps, in C order or its transpose.
template <class Real>
struct CellGradients {
  MatrixView<Real> input, hidden;
  VectorView<Real> input_bias, hidden_bias;  // stride 1, or absent
};

// Views of the caller's device memory. A null gradient of a result is zero; a null gradient of an argument is not
// wanted. Which ones are null is part of the plan's options. No output may overlap an input or another output.
template <class Real>
struct BackwardCall {
  SequenceView<const Real> input;
  StateView<const Real> hidden_initial, cell_initial;
  std::vector<CellWeights<Real>> weights;  // num_layers * num_directions; empty where the plan runs no steps
  const Real* tape;
  SequenceView<const Real> output_gradient;
  StateView<const Real> hidden_final_gradient, cell_final_gradient;
  SequenceView<Real> input_gradient;  // overwritten, but for rows past an end
  StateView<Real> hidden_gradient, cell_gradient;
  std::vector<CellGradients<Real>> weight_gradients;
  bool accumulate;  // add to the weights' gradients
  // Laid out as a tape of gates, with the pre-activations' gradients in the gates' place and h_(t-1) in that of c_t.
  // Written where the plan runs steps, read where it does not; null: not wanted.
  Real* workspace;
  rng::DropoutStream dropout;
};

// Issue all of a call's work to the caller's stream, or to lanes that it waits for. They use an idle plan with the same
// options, or make one. They throw as plan::check does, std::length_error where a size is beyond what cuBLAS counts,
// std::bad_alloc, or std::runtime_error with CUDA's reason.
template <class Real>
void forward(const Options& options, const ForwardCall<Real>& call, cudaStream_t stream);
template <class Real>
void backward(const Options& options, const BackwardCall<Real>& call, cudaStream_t stream);

// Frees what idle plans hold.
void clear_plans();

// The number of idle plans, and the bytes of their arrays.
std::pair<std::size_t, index_t> idle_plans();

}  // namespace lstm_native::cuda
