#include "plan/backward_scratch.hpp"

#include <algorithm>

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
  if (needs.packed_hidden) {
    packed_hidden_size = checked_product({plan.groups, plan.gate_columns(), plan.group_units});
    packed_hidden = take(checked_product({directions, packed_hidden_size}));
  }
  if (needs.gate_gradients) {
    gate_gradients_size = whole_lines<Real>(checked_product({total, plan.gate_columns()}));
    gate_gradients = take(checked_product({directions, gate_gradients_size}));
    hidden_before_size = plan.wants.weights ? whole_lines<Real>(checked_product({total, units})) : 0;
    hidden_before = take(checked_product({directions, hidden_before_size}));
  }
  const index_t between = problem.num_layers > 1 ? checked_product({total, problem.layer_output_size()}) : 0;
  const index_t gathered = checked_product({total, problem.input_size});
  layer_input = take(std::max(between, needs.gathered_input ? gathered : 0));
  output_gradient = take(between);
  input_gradient = take(needs.scattered_input ? gathered : 0);
  if (needs.steps) {
    cell_gradient = take(plan.wants.states ? 0 : checked_product({directions, problem.batch, units}));
    sums = take(checked_product({directions, problem.batch, plan.groups, plan.group_units}));
    constexpr auto row_elements = static_cast<index_t>(sizeof(kernels::BackwardRow<Real>) / sizeof(Real));
    rows = take(checked_product({plan.threads, problem.batch, row_elements}));
  }
  checked_product({elements, static_cast<index_t>(sizeof(Real))});
}

template struct BackwardScratchLayout<float>;
template struct BackwardScratchLayout<double>;

}  // namespace lstm_native::plan
