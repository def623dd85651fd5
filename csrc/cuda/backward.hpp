// cuda: the whole stack backward, from a tape.
#pragma once

#include "cuda/calls.hpp"
#include "cuda/device_plan.hpp"
#include "cuda/tape.cuh"

namespace lstm_native::cuda {

template <class Real>
class BackwardPlan : public DevicePlan {
 public:
  explicit BackwardPlan(const Options& options);

  // Issues all work to the caller's stream, or to lanes that it waits for. One call at a time.
  void run(const BackwardCall<Real>& call, cudaStream_t stream);

 private:
  bool recomputes() const { return options().runs_steps && options().tape_form == plan::TapeForm::hidden; }
  bool needs_layer_inputs() const { return options().wants_weights || recomputes(); }
  bool needs_previous_hidden() const {
    return options().runs_steps && (needs_layer_inputs() || options().keeps_workspace);
  }

  void import_arrays(const BackwardCall<Real>& call);
  void store_layer_inputs(const BackwardCall<Real>& call);
  void store_previous_hidden(const BackwardCall<Real>& call);
  void compute_gates_again(const BackwardCall<Real>& call);
  // Defined in backward_steps.cu.
  void issue_steps();
  void issue_wavefront();
  void run_strand(index_t layer, const Strand& strand, Chunk steps);
  void run_layer(index_t layer);
  // The arguments that all steps of a layer have in common.
  BackwardStep<Real> step_of_layer(index_t layer) const;
  BackwardDirection<Real> direction_of_layer(index_t layer, index_t d) const;
  void step(index_t layer, const Strand& strand, index_t k);
  void finish_hidden(index_t layer, index_t direction, index_t k, std::size_t lane);
  void input_gradient(index_t layer, Chunk steps, const DeviceSpan<Real>& to, std::size_t lane);
  void weight_gradients(const BackwardCall<Real>& call, const Real* gradients);
  void export_arrays(const BackwardCall<Real>& call);

  index_t step_backward(index_t direction, index_t k) const { return step_of(1 - direction, k); }
  TapePart<Real> part_of(const BackwardCall<Real>& call, index_t layer, index_t direction) const;
  DeviceSpan<Real> gate_gradients(index_t layer, index_t direction) const {
    return arena_.at(gradients_, gradients_layout_.gates(layer, direction), rows_.total() * gates());
  }
  DeviceSpan<Real> previous_hidden_of(index_t layer, index_t direction) const {
    return arena_.at(gradients_, gradients_layout_.cells(layer, direction), rows_.total() * units());
  }
  DeviceSpan<Real> hidden_weights(index_t layer, index_t direction) const {
    return arena_.at(hidden_weights_, state_of(layer, direction) * gates() * units(), gates() * units());
  }
  DeviceSpan<Real> layer_input(index_t layer) const {
    if (layer == 0) return arena_.at(input_);
    const index_t size = rows_.total() * problem().layer_output_size();
    return arena_.at(layer_inputs_, (layer - 1) * size, size);
  }

  plan::TapeLayout tape_;              // of the given tape
  plan::TapeLayout gradients_layout_;  // a tape of gates
  InputWidths widths_;
  Place<Real> input_weights_, hidden_weights_, bias_;
  Place<Real> hidden_initial_, cell_initial_, hidden_gradient_, cell_gradient_;
  Place<Real> gradients_;            // laid out as a call's workspace
  Place<Real> restored_;             // a tape of gates, if the given one has none
  Place<Real> input_;                // (rows, input size)
  Place<Real> layer_inputs_;         // of layers above the first: (layers, rows, directions * units)
  Place<Real> output_gradients_[2];  // of even and odd layers: (rows, directions * units)
  Place<Real> input_gradient_;       // (rows, input size)
  Place<Real> ones_;                 // rows
};

}  // namespace lstm_native::cuda
