// plan: the scratch memory of one backward call. It has room for one layer; the layers use it in turn.
#pragma once

#include <memory>

#include "common/memory_pool.hpp"
#include "common/types.hpp"
#include "kernels/backward_arguments.hpp"
#include "plan/backward_plan.hpp"

namespace lstm_native::plan {

// What a call needs in addition to what its plan says.
struct BackwardNeeds {
  bool steps = true;                   // the recurrent part is computed
  bool gate_gradients = true;          // the call has no workspace for them
  bool packed_hidden = true;           // W_hh is packed for the call
  bool packed_projection = true;       // W_hr is packed for the call, if there is one
  bool row_major_gradients = true;     // some matrix has a gradient with contiguous rows
  bool column_major_gradients = true;  // some matrix has a gradient with contiguous columns
  bool gathered_input = false;         // the distances between the caller's input rows differ
  bool scattered_input = false;        // the distances between the rows of the input's gradient differ
};

// Offsets in elements; each part begins on a cache line.
template <class Real>
struct BackwardScratchLayout {
  BackwardScratchLayout(const BackwardPlan& plan, const BackwardNeeds& needs);

  index_t packed_hidden = 0;  // (directions, groups, 4 * units, group's units)
  index_t packed_hidden_size = 0;
  index_t packed_projection = 0;  // (directions, groups, output_size, group's units)
  index_t packed_projection_size = 0;
  index_t gate_gradients = 0;  // (directions, rows, 4, units)
  index_t gate_gradients_size = 0;
  index_t previous_hidden = 0;  // (directions, rows, output_size)
  index_t previous_hidden_size = 0;
  index_t hidden_gradients = 0;  // (directions, rows, output_size), with a projection
  index_t hidden_gradients_size = 0;
  index_t cell_outputs = 0;  // (directions, rows, units), with a projection
  index_t cell_outputs_size = 0;
  index_t packed_input_weights = 0;  // (directions, groups, 4 * units, group's columns)
  index_t packed_input_weights_size = 0;
  // The two factors of the sums of products over rows: one is transposed, one is in panels.
  index_t gates_transposed = 0;  // (directions, 4 * units, transposed_stride)
  index_t gates_transposed_size = 0;
  index_t gate_panels = 0;  // (directions, groups, product_rows, group's columns)
  index_t gate_panels_size = 0;
  index_t input_transposed = 0;
  index_t input_panels = 0;
  index_t hidden_transposed = 0;  // of each direction, as hidden_panels
  index_t hidden_transposed_size = 0;
  index_t hidden_panels = 0;
  index_t hidden_panels_size = 0;
  // The same for the two factors of a projection's gradient.
  index_t gradients_transposed = 0;
  index_t gradients_transposed_size = 0;
  index_t gradient_panels = 0;
  index_t gradient_panels_size = 0;
  index_t outputs_transposed = 0;
  index_t outputs_transposed_size = 0;
  index_t output_panels = 0;
  index_t output_panels_size = 0;
  index_t layer_input = 0;          // (rows, directions * output_size), or the gathered input
  index_t output_gradient = 0;      // (rows, directions * output_size): of the layer at hand, then of the one below
  index_t input_gradient = 0;       // (rows, input_size), to be scattered
  index_t cell_gradient = 0;        // (directions, batch, units)
  index_t sums = 0;                 // (directions, batch, groups' units)
  index_t recurrent_masks = 0;      // (directions, batch, output_size), with dropout of h_(t-1)
  index_t recurrent_gradients = 0;  // the same
  index_t rows = 0;                 // (threads, batch) of kernels::BackwardRow
  index_t elements = 0;
};

template <class Real>
class BackwardScratch {
 public:
  BackwardScratch(const BackwardPlan& plan, const BackwardNeeds& needs, const std::shared_ptr<MemoryPool>& pool)
      : layout_(plan, needs),
        batch_(plan.problem().batch),
        memory_(pool, layout_.elements * static_cast<index_t>(sizeof(Real))) {}

  const BackwardScratchLayout<Real>& layout() const { return layout_; }
  Real* at(index_t offset) const { return reinterpret_cast<Real*>(memory_.data()) + offset; }
  kernels::BackwardRow<Real>* rows(int thread) const {
    return reinterpret_cast<kernels::BackwardRow<Real>*>(at(layout_.rows)) + thread * batch_;
  }

 private:
  BackwardScratchLayout<Real> layout_;
  index_t batch_;
  PooledBuffer memory_;
};

}  // namespace lstm_native::plan
