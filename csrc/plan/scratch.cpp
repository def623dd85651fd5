#include "plan/scratch.hpp"

#include <algorithm>

#include "common/checked_size.hpp"

namespace lstm_native::plan {

template <class Real>
ScratchLayout<Real>::ScratchLayout(const Plan& plan, bool input_needs_gathering, bool keeps_tape) {
  const Problem& problem = plan.problem;
  constexpr auto line = static_cast<index_t>(cache_line_bytes / sizeof(Real));
  const auto whole_lines = [](index_t count) { return checked_sum({count, line - 1}) / line * line; };
  const auto take = [&](index_t count) {
    const index_t offset = elements;
    elements = checked_sum({elements, whole_lines(count)});
    return offset;
  };
  const index_t width = checked_product({gate_count, problem.cell_size});
  bias = take(checked_product({problem.num_directions, width}));
  if (!keeps_tape) gates = take(checked_product({problem.num_directions, plan.rows.total(), width}));
  const index_t between_layers = std::min<index_t>(problem.num_layers - 1, 2);
  for (index_t k = 0; k < between_layers; ++k) {
    layer_outputs[k] = take(checked_product({plan.rows.total(), problem.layer_output_size()}));
  }
  if (input_needs_gathering) {
    const index_t block_rows = std::min(plan.projection_rows.block, plan.projection_rows.total);
    gathered_input_stride = whole_lines(checked_product({block_rows, problem.input_size}));
    gathered_input = take(checked_product({plan.projection_threads(0), gathered_input_stride}));
  }
  checked_product({elements, static_cast<index_t>(sizeof(Real))});
}

template struct ScratchLayout<float>;
template struct ScratchLayout<double>;

}  // namespace lstm_native::plan
