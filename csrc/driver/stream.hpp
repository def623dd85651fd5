// driver: a stack that runs a few steps at a time. It keeps its state and its working memory between calls.
#pragma once

#include <optional>

#include "common/aligned_buffer.hpp"
#include "driver/packed_weights.hpp"
#include "driver/stack_forward.hpp"

namespace lstm_native::driver {

// Not for use by several threads at once. The weights have one direction, and outlive the stream.
template <class Real>
class Stream {
 public:
  // problem: one step.
  Stream(const plan::Problem& problem, const PackedWeights& weights);

  // input (steps, batch, input_size) and output (steps, batch, output_size) are contiguous and do not overlap.
  // Allocates memory if `steps` is neither 1 nor that of the last call with more than 1 step. If the interruption is
  // requested, it ends early and leaves the state as it was.
  void run(index_t steps, const Real* input, Real* output, int most_threads, Interruption& interruption);

  // The state that the next step begins with: (layers, batch, output_size), (layers, batch, cell_size).
  Real* hidden() { return memory_of(hidden_[current_]); }
  Real* cell() { return memory_of(cell_[current_]); }
  index_t hidden_elements() const { return hidden_elements_; }
  index_t cell_elements() const { return cell_elements_; }
  const plan::Problem& problem() const { return one_step_.plan.problem; }
  index_t bytes() const;  // of all that it holds

 private:
  // What a call with that many steps needs.
  struct Runner {
    Runner(const plan::Problem& problem, int format);
    plan::Plan plan;
    plan::Scratch<Real> scratch;
    OwnedBarriers place;
  };

  Runner& for_steps(index_t steps);
  static Real* memory_of(const AlignedBuffer& buffer) { return reinterpret_cast<Real*>(buffer.data()); }

  const CellWeights<Real>* weights_;
  int format_;
  Runner one_step_;
  std::optional<Runner> several_steps_;
  index_t hidden_elements_, cell_elements_;
  AlignedBuffer hidden_[2];  // one is read, the other written for the next call
  AlignedBuffer cell_[2];
  int current_ = 0;
  bool blocks_descending_ = false;
};

}  // namespace lstm_native::driver
