// driver: the gates that a tape of hidden states lacks, computed again by the forward call's products.
#pragma once

#include "driver/backward_memory.hpp"
#include "driver/stack_forward.hpp"
#include "plan/scratch.hpp"

namespace lstm_native::driver {

template <class Real>
class Recomputation {
 public:
  // Throws std::bad_alloc.
  Recomputation(const plan::Plan& plan, const StackBackward<Real>& stack);

  // A layer's gates, to where the gradients of its pre-activations will be. Every thread of the backward call's team
  // calls it, and meets the others before it reads them.
  void compute_gates(const BackwardMemory<Real>& memory, index_t index, const Team& team, Watch& watch) const;

 private:
  const plan::Plan& plan_;
  StackForward<Real> stack_{};
  plan::Scratch<Real> scratch_;
  MeetingPlace place_;
};

}  // namespace lstm_native::driver
