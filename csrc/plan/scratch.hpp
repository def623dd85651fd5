// plan: scratch: the memory that one call uses and throws away.
#pragma once

#include <utility>

#include "common/aligned_buffer.hpp"
#include "common/types.hpp"
#include "plan/plan.hpp"

namespace lstm_native::plan {

// Offsets in elements; each part begins on a cache line.
template <class Real>
struct ScratchLayout {
  ScratchLayout(const Plan& plan, bool input_needs_gathering, bool keeps_tape);

  index_t bias = 0;                   // (directions, 4, cell_size): both biases of a layer, added
  index_t gates = 0;                  // (directions, rows, 4, cell_size); absent where the tape holds them
  index_t layer_outputs[2] = {};      // (rows, directions * output_size) each: a layer's input and its output
  index_t gathered_input = 0;         // per thread: the rows of one projection block, where the caller's are scattered
  index_t gathered_input_stride = 0;  // from one thread's rows to the next
  index_t elements = 0;
};

template <class Real>
class Scratch {
 public:
  Scratch(const Plan& plan, bool input_needs_gathering, bool keeps_tape)
      : layout_(plan, input_needs_gathering, keeps_tape),
        memory_(layout_.elements * static_cast<index_t>(sizeof(Real))) {}

  const ScratchLayout<Real>& layout() const { return layout_; }
  Real* at(index_t offset) const { return reinterpret_cast<Real*>(memory_.data()) + offset; }

 private:
  ScratchLayout<Real> layout_;
  AlignedBuffer memory_;
};

}  // namespace lstm_native::plan
