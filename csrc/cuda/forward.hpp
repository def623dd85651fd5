// cuda: the whole stack forward.
#pragma once

#include "cuda/calls.hpp"
#include "cuda/device_plan.hpp"

namespace lstm_native::cuda {

template <class Real>
class ForwardPlan : public DevicePlan {
 public:
  explicit ForwardPlan(const Options& options);

  // Issues all work to the caller's stream, or to lanes that it waits for. One call at a time.
  void run(const ForwardCall<Real>& call, cudaStream_t stream);

 private:
  struct Projection {
    DeviceSpan<Real> memory;  // (directions, rows, 4, units)
    index_t first_row;        // the row whose pre-activations come first
    index_t of_direction;     // elements
  };

  void write_header(const ForwardCall<Real>& call);
  void import_arrays(const ForwardCall<Real>& call);
  Projection projection_of(index_t layer, Chunk steps) const;
  void project(index_t layer, Chunk steps, std::size_t lane);
  void issue_steps();
  void issue_wavefront();
  void run_strand(index_t layer, const Strand& strand, Chunk steps);
  void step(index_t layer, const Strand& strand, const Projection& projection, index_t k);
  void run_layer(index_t layer);
  // The arguments that all steps of a layer have in common.
  ForwardStep<Real> step_of_layer(index_t layer) const;
  ForwardDirection<Real> direction_of_layer(index_t layer, index_t d) const;

  plan::TapeLayout tape_;
  InputWidths widths_;
  Place<Real> input_;          // (rows, input size)
  Place<Real> input_weights_;  // laid out as widths_ says
  Place<Real> hidden_weights_, bias_, hidden_, cell_;
  Place<Real> hidden_final_;      // where the steps leave hidden_ as it is
  Place<Real> exchange_;          // of a layer whose steps are one launch: (directions, 2, batch, units)
  Place<Real> first_projection_;  // (directions, rows, 4, units)
  Place<Real> projection_;  // (layers above the first in a wavefront, else 1; directions, rows of chunk, 4, units)
  Place<Real> outputs_[2];  // of even and odd layers, dropout applied: (rows, directions * units)
};

}  // namespace lstm_native::cuda
