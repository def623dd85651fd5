#include "plan/scratch.hpp"

#include <algorithm>

#include "common/checked_size.hpp"
#include "plan/scratch_places.hpp"

namespace lstm_native::plan {
namespace {

// Whether each unit block of W_ih is packed right before the rows need it. That is possible if all rows are projected
// at once and the threads share the blocks. The packed block stays in the L2 cache, and no fresh memory is touched.
bool packs_input_block_by_block(const Plan& plan) {
  if (plan.storage.packed_weights || plan.problem.seq_len == 1 || plan.chunks() > 1 || plan.threads > plan.blocks)
    return false;
  for (index_t k = 0; k < plan.different_layers(); ++k) {
    if (plan.layer(k).split.rows > 1) return false;
  }
  return true;
}

// Of a row, as kernels::StepForward has them: of a step, or of its projection.
index_t bytes_of_vectors(const Plan& plan) {
  const kernels::WeightFormat& format = format_of(plan);
  if (format.vector_bytes == 0) return 0;
  constexpr auto line = static_cast<index_t>(cache_line_bytes);
  const auto bytes = [&](index_t columns) {
    return whole_lines<std::byte>(checked_product({columns, format.vector_bytes}));
  };
  index_t input = plan.problem.projects() ? plan.problem.cell_size : 0;
  for (index_t k = 0; k < plan.different_layers(); ++k) input = std::max(input, plan.layer(k).work.input_size);
  const index_t all = checked_sum({line, checked_product({format.input_terms, bytes(input)}),
                                   checked_product({format.hidden_terms, bytes(plan.problem.output_size)})});
  // Rows a multiple of 4 KB apart would meet in the same few lines of the L1 cache.
  return all % 1024 == 0 ? all + line : all;
}

}  // namespace

ScratchNeeds::ScratchNeeds(const Plan& plan)
    : bias(!plan.storage.packed_weights),
      projection(plan.problem.projects()),
      recurrent_dropout(plan.problem.recurrent_dropout > 0.0) {
  for (index_t k = 0; k < plan.different_layers(); ++k) {
    const LayerPlan& layer = plan.layer(k);
    if (copies_panels(layer.input_path)) {
      packed_input_columns = std::max(packed_input_columns, layer.work.input_size);
    }
    packed_hidden |= copies_panels(layer.hidden_path);
    packed_projection |= projection && layer.projection_path == WeightPath::packed_per_call;
    pre_activations |= !layer.fuses_input;
  }
  input_block_by_block = packed_input_columns > 0 && packs_input_block_by_block(plan);
}

template <class Real>
ScratchLayout<Real>::ScratchLayout(const Plan& plan, const ScratchNeeds& needs) {
  const Problem& problem = plan.problem;
  const auto take = [&](index_t count) { return take_place<Real>(elements, count); };
  const index_t directions = problem.num_directions;
  const index_t width = checked_product({plan.blocks, gate_count, plan.lanes});
  if (needs.bias) bias = take(checked_product({directions, width}));
  if (needs.packed_input_columns > 0) {
    input_block_by_block = needs.input_block_by_block;
    const index_t panels = input_block_by_block ? plan.threads * plan.block_elements() : width;
    input_panels_size = checked_product({panels, needs.packed_input_columns});
    input_panels = take(checked_product({directions, input_panels_size}));
  }
  if (needs.packed_hidden) hidden_panels = take(checked_product({directions, width, problem.output_size}));
  const index_t at_once = plan.wavefront ? problem.num_layers : directions;
  if (needs.projection) {
    if (needs.packed_projection) {
      projection_panels = take(checked_product({directions, plan.projected_elements(), problem.cell_size}));
    }
    if (needs.bias) projection_bias = take(plan.projected_elements());
    cell_outputs_size = whole_lines<Real>(checked_product({problem.batch, problem.cell_size}));
    cell_outputs = take(checked_product({at_once, cell_outputs_size}));
    projected_size = whole_lines<Real>(checked_product({problem.batch, plan.projected_elements()}));
    projected = take(checked_product({at_once, projected_size}));
  }
  if (needs.pre_activations) {
    // BLAS writes rows of 4 * cell_size elements. The kernels read the last vector of the last row as a whole.
    pre_activations_size = checked_sum({checked_product({plan.chunk_rows(), width}), plan.lanes});
    pre_activations = take(checked_product({at_once, pre_activations_size}));
  }
  if (needs.recurrent_dropout) {
    recurrent_masks_size = whole_lines<Real>(checked_product({problem.batch, problem.output_size}));
    recurrent_masks = take(checked_product({directions, recurrent_masks_size}));
    const index_t rows = needs.steps_at_once ? plan.chunk_rows() : problem.batch;
    masked_hidden_size = whole_lines<Real>(checked_product({rows, problem.output_size}));
    masked_hidden = take(checked_product({directions, 2, masked_hidden_size}));
  }
  layer_output_buffers = std::min<index_t>(problem.num_layers - 1, plan.wavefront ? problem.num_layers : 2);
  layer_output_size = whole_lines<Real>(checked_product({plan.rows.total(), problem.layer_output_size()}));
  layer_outputs = take(checked_product({layer_output_buffers, layer_output_size}));
  step_row_count = std::max(needs.pre_activations || needs.steps_at_once ? plan.chunk_rows() : 0, problem.batch);
  constexpr auto step_row_elements = static_cast<index_t>(sizeof(kernels::StepRow<Real>) / sizeof(Real));
  step_rows = take(checked_product({plan.threads, step_row_count, step_row_elements}));
  vector_stride = bytes_of_vectors(plan);
  constexpr auto real_bytes = static_cast<index_t>(sizeof(Real));
  vectors = take(checked_product({plan.threads, step_row_count, vector_stride}) / real_bytes);
  checked_product({elements, real_bytes});
}

template struct ScratchLayout<float>;
template struct ScratchLayout<double>;

}  // namespace lstm_native::plan
