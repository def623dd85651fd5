// driver: the whole stack of layers.
#pragma once

#include <memory>

#include "driver/layer_forward.hpp"
#include "plan/plan.hpp"
#include "plan/scratch.hpp"
#include "plan/tape.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::driver {

// Inputs are read only. No output may overlap an input or another output.
template <class Real>
struct StackForward {
  SequenceView<const Real> input;                      // feature_stride 1
  StateView<const Real> hidden_initial, cell_initial;  // unit_stride 1
  const CellWeights<Real>* weights;                    // of all num_layers * num_directions cells, all packed or none
  SequenceView<Real> output;                           // feature_stride 1; overwritten
  Real* hidden_final;  // (layers * directions, batch, output_size), contiguous; overwritten
  Real* cell_final;    // (layers * directions, batch, cell_size), contiguous; overwritten
  Real* tape;          // as long as plan::TapeLayout says, overwritten; null: nothing is kept
  plan::TapeForm tape_form;
  rng::DropoutStream dropout;
  bool blocks_descending;                        // which end of the weights to begin with: where the last call ended
  int most_threads = lstm_native::most_threads;  // if the plan was made for more
};

// Describes one layer of a stack, with its parts of the scratch.
template <class Real>
LayerForward<Real> describe_layer(const plan::Plan& plan, const StackForward<Real>& stack,
                                  const plan::Scratch<Real>& scratch, index_t index);

// The barriers of the threads of a call of this plan.
class OwnedBarriers {
 public:
  explicit OwnedBarriers(const plan::Plan& plan);
  Barriers barriers() const { return {&barriers_[0], &barriers_[1], &barriers_[3], layers_.get()}; }
  void reset();  // after a call that ended early

 private:
  std::size_t barrier_count_;
  std::unique_ptr<Barrier[]> barriers_;
  std::unique_ptr<Progress[]> layers_;
};

// Allocates nothing. `barriers` is from an OwnedBarriers of the same plan. If the interruption is requested, it ends
// early with unfinished results.
template <class Real>
void stack_forward(const plan::Plan& plan, const StackForward<Real>& stack, const plan::Scratch<Real>& scratch,
                   const Barriers& barriers, Interruption& interruption);

// The same with new scratch. Throws std::bad_alloc before it has written anything. Also writes zeros to the output past
// the ends of sequences.
template <class Real>
void stack_forward(const plan::Plan& plan, const StackForward<Real>& stack, Interruption& interruption);

}  // namespace lstm_native::driver
