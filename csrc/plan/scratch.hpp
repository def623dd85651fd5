// plan: scratch, the memory that one call needs while it runs.
#pragma once

#include <cstddef>
#include <memory>

#include "common/memory_pool.hpp"
#include "common/types.hpp"
#include "plan/plan.hpp"

namespace lstm_native::plan {

// What a call's weights and input projection need. Calls of the same plan can use the same scratch, one after the
// other.
struct ScratchNeeds {
  explicit ScratchNeeds(const Plan& plan);

  bool bias;                         // the call packs the biases
  bool pre_activations = false;      // the input is projected before the steps
  index_t packed_input_columns = 0;  // of the widest W_ih that the call packs; 0: it packs none
  bool input_block_by_block;         // each thread packs one unit block of W_ih at a time
  bool packed_hidden = false;
  bool projection;  // of the hidden states
  bool packed_projection = false;
  bool recurrent_dropout;
  bool steps_at_once = false;  // a chunk's, where only gates are computed, again
};

// Offsets in elements; each part begins on a cache line.
template <class Real>
struct ScratchLayout {
  ScratchLayout(const Plan& plan, const ScratchNeeds& needs);

  index_t bias = 0;               // (directions, blocks, 4, lanes)
  index_t input_panels = 0;       // (directions, blocks, or threads where block by block, columns, 4, lanes)
  index_t input_panels_size = 0;  // of one direction
  bool input_block_by_block = false;
  index_t hidden_panels = 0;         // (directions, blocks, output_size, 4, lanes)
  index_t projection_panels = 0;     // (directions, output_blocks, cell_size, 4, lanes)
  index_t projection_bias = 0;       // (output_blocks, 4, lanes): zeros
  index_t cell_outputs = 0;          // (directions, batch, cell_size); in a wavefront one for each layer
  index_t cell_outputs_size = 0;     // of one direction
  index_t projected = 0;             // (directions, batch, output_blocks, 4, lanes); in a wavefront one for each layer
  index_t projected_size = 0;        // of one direction
  index_t pre_activations = 0;       // (directions, chunk's rows, blocks, 4, lanes); in a wavefront one for each layer
  index_t pre_activations_size = 0;  // of one direction
  index_t recurrent_masks = 0;       // (directions, batch, output_size)
  index_t recurrent_masks_size = 0;  // of one direction
  index_t masked_hidden = 0;         // (directions, 2, batch or chunk's rows, output_size), as DirectionForward says
  index_t masked_hidden_size = 0;    // of one of the two
  index_t layer_outputs = 0;         // (buffers, rows, directions * output_size): between layers
  index_t layer_output_size = 0;
  index_t layer_output_buffers = 0;  // two, used in turn; in a wavefront one behind each layer but the last
  index_t step_rows = 0;             // (threads, step_row_count) of kernels::StepRow
  index_t step_row_count = 0;
  index_t vectors = 0;        // (threads, step_row_count, vector_stride), if the format rounds vectors
  index_t vector_stride = 0;  // in bytes
  index_t elements = 0;
};

// The scratch of one thread's kernel calls.
template <class Real>
struct ThreadScratch {
  kernels::StepRow<Real>* table;  // (step_row_count)
  std::byte* vectors;             // null: the format rounds no vectors
  index_t vector_stride;
};

template <class Real>
class Scratch {
 public:
  Scratch(const Plan& plan, const ScratchNeeds& needs, const std::shared_ptr<MemoryPool>& pool)
      : layout_(plan, needs), memory_(pool, layout_.elements * static_cast<index_t>(sizeof(Real))) {}

  const ScratchLayout<Real>& layout() const { return layout_; }
  Real* at(index_t offset) const { return reinterpret_cast<Real*>(memory_.data()) + offset; }
  Real* layer_output(index_t layer) const {
    return at(layout_.layer_outputs + layer % layout_.layer_output_buffers * layout_.layer_output_size);
  }
  Real* pre_activations(const Plan& plan, index_t layer, index_t direction) const {
    return at(layout_.pre_activations + (plan.wavefront ? layer : direction) * layout_.pre_activations_size);
  }
  // Absent if no input is projected before the steps.
  StoredRows<Real> cell_outputs(const Plan& plan, index_t layer, index_t direction) const {
    if (layout_.cell_outputs_size == 0) return {};
    const index_t place = plan.wavefront ? layer : direction;
    return {at(layout_.cell_outputs + place * layout_.cell_outputs_size), plan.problem.cell_size};
  }
  StoredRows<Real> projected(const Plan& plan, index_t layer, index_t direction) const {
    if (layout_.projected_size == 0) return {};
    const index_t place = plan.wavefront ? layer : direction;
    return {at(layout_.projected + place * layout_.projected_size), plan.projected_elements()};
  }
  // Both absent where no hidden states are masked.
  StoredRows<Real> recurrent_mask(const Plan& plan, index_t direction) const {
    if (layout_.recurrent_masks_size == 0) return {};
    return {at(layout_.recurrent_masks + direction * layout_.recurrent_masks_size), plan.problem.output_size};
  }
  StoredRows<Real> masked_hidden(const Plan& plan, index_t direction, index_t turn) const {
    if (layout_.recurrent_masks_size == 0) return {};
    const index_t place = 2 * direction + turn;
    return {at(layout_.masked_hidden + place * layout_.masked_hidden_size), plan.problem.output_size};
  }
  ThreadScratch<Real> of_thread(int thread) const {
    const index_t rows = thread * layout_.step_row_count;
    std::byte* vectors = reinterpret_cast<std::byte*>(at(layout_.vectors)) + rows * layout_.vector_stride;
    return {reinterpret_cast<kernels::StepRow<Real>*>(at(layout_.step_rows)) + rows,
            layout_.vector_stride > 0 ? vectors : nullptr, layout_.vector_stride};
  }

 private:
  ScratchLayout<Real> layout_;
  PooledBuffer memory_;
};

}  // namespace lstm_native::plan
