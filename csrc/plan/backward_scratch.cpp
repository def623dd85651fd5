#include "plan/backward_scratch.hpp"

#include <algorithm>

#include "common/ceil_div.hpp"
#include "common/checked_size.hpp"
#include "plan/scratch_places.hpp"

namespace lstm_native::plan {

template <class Real>
BackwardScratchLayout<Real>::BackwardScratchLayout(const BackwardPlan& plan, const BackwardNeeds& needs) {
  const Problem& problem = plan.problem();
  const auto take = [&](index_t count) { return take_place<Real>(elements, count); };
  const index_t directions = problem.num_directions;
  const index_t total = plan.forward.rows.total();
  const index_t units = problem.cell_size;
  const bool projects = problem.projects();
  if (needs.packed_hidden) {
    packed_hidden_size = checked_product({plan.output_groups, plan.gate_columns(), plan.group_units});
  }
  index_t widest_input = problem.input_size;
  if (problem.num_layers > 1) widest_input = std::max(widest_input, problem.layer_output_size());
  const auto panels = [&](index_t rows_of_panel, index_t columns) {
    return checked_product({ceil_div(columns, plan.group_units), plan.group_units, rows_of_panel});
  };
  if (needs.steps && plan.packs_input_weights() && (plan.wants.input || problem.num_layers > 1)) {
    packed_input_weights_size =
        panels(plan.gate_columns(), plan.wants.input ? widest_input : problem.layer_output_size());
  }
  // The two share memory: W_ih is packed after the last step.
  packed_hidden = packed_input_weights =
      take(checked_product({directions, std::max(packed_hidden_size, packed_input_weights_size)}));
  if (needs.steps && needs.packed_projection && projects) {
    packed_projection_size = checked_product({plan.groups, problem.output_size, plan.group_units});
    packed_projection = take(checked_product({directions, packed_projection_size}));
  }
  const index_t hidden_size = whole_lines<Real>(checked_product({total, problem.output_size}));
  if (needs.gate_gradients) {
    gate_gradients_size = whole_lines<Real>(checked_product({total, plan.gate_columns()}));
    gate_gradients = take(checked_product({directions, gate_gradients_size}));
    previous_hidden_size = plan.wants.weights ? hidden_size : 0;
    previous_hidden = take(checked_product({directions, previous_hidden_size}));
    hidden_gradients_size = projects ? hidden_size : 0;
    hidden_gradients = take(checked_product({directions, hidden_gradients_size}));
  }
  if (projects && plan.wants.weights) {
    cell_outputs_size = whole_lines<Real>(checked_product({total, units}));
    cell_outputs = take(checked_product({directions, cell_outputs_size}));
  }
  const bool packs_input = plan.packs_rows(widest_input);
  const bool packs_hidden = plan.packs_rows(problem.output_size);
  if (plan.wants.weights && (packs_input || packs_hidden)) {
    const index_t stride = plan.transposed_stride<Real>();
    const index_t block = plan.product_rows();
    if (needs.row_major_gradients) {
      gates_transposed_size = checked_product({plan.gate_columns(), stride});
      gates_transposed = take(checked_product({directions, gates_transposed_size}));
      input_panels = take(packs_input ? panels(block, widest_input) : 0);
      hidden_panels_size = packs_hidden ? panels(block, problem.output_size) : 0;
      hidden_panels = take(checked_product({directions, hidden_panels_size}));
    }
    if (needs.column_major_gradients) {
      gate_panels_size = panels(block, plan.gate_columns());
      gate_panels = take(checked_product({directions, gate_panels_size}));
      input_transposed = take(packs_input ? checked_product({widest_input, stride}) : 0);
      hidden_transposed_size = packs_hidden ? checked_product({problem.output_size, stride}) : 0;
      hidden_transposed = take(checked_product({directions, hidden_transposed_size}));
    }
  }
  if (plan.wants.weights && projects && plan.packs_rows(units)) {
    const index_t stride = plan.transposed_stride<Real>();
    const index_t block = plan.product_rows();
    if (needs.row_major_gradients) {
      gradients_transposed_size = checked_product({problem.output_size, stride});
      gradients_transposed = take(checked_product({directions, gradients_transposed_size}));
      output_panels_size = panels(block, units);
      output_panels = take(checked_product({directions, output_panels_size}));
    }
    if (needs.column_major_gradients) {
      gradient_panels_size = panels(block, problem.output_size);
      gradient_panels = take(checked_product({directions, gradient_panels_size}));
      outputs_transposed_size = checked_product({units, stride});
      outputs_transposed = take(checked_product({directions, outputs_transposed_size}));
    }
  }
  const index_t between = problem.num_layers > 1 ? checked_product({total, problem.layer_output_size()}) : 0;
  const index_t gathered = checked_product({total, problem.input_size});
  layer_input = take(std::max(between, needs.gathered_input ? gathered : 0));
  output_gradient = take(between);
  input_gradient = take(needs.scattered_input ? gathered : 0);
  if (needs.steps) {
    cell_gradient = take(plan.wants.states ? 0 : checked_product({directions, problem.batch, units}));
    sums = take(checked_product({directions, problem.batch, plan.groups, plan.group_units}));
    if (problem.recurrent_dropout > 0.0) {
      const index_t hidden = checked_product({directions, problem.batch, problem.output_size});
      recurrent_masks = take(hidden);
      recurrent_gradients = take(hidden);
    }
    constexpr auto row_elements = static_cast<index_t>(sizeof(kernels::BackwardRow<Real>) / sizeof(Real));
    rows = take(checked_product({plan.threads, problem.batch, row_elements}));
  }
  checked_product({elements, static_cast<index_t>(sizeof(Real))});
}

template struct BackwardScratchLayout<float>;
template struct BackwardScratchLayout<double>;

}  // namespace lstm_native::plan
