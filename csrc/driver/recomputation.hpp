// driver: computes the gates again, which a tape of hidden states lacks, by the forward call's products.
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

  // Writes a layer's gates to the place of the gradients of its pre-activations. Every thread of the backward call's
  // team calls it, and waits for the others before it reads them.
  void compute_gates(const BackwardMemory<Real>& memory, index_t index, const Team& team, CancellationPoll& poll) const;

 private:
  const plan::Plan& plan_;
  StackForward<Real> stack_{};
  plan::Scratch<Real> scratch_;
  OwnedBarriers place_;
};

}  // namespace lstm_native::driver
