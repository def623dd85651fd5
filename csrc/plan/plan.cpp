#include "plan/plan.hpp"

#include <algorithm>
#include <utility>

#include "kernels/dispatch.hpp"

namespace lstm_native::plan {
namespace {

// BLAS packs the weights anew for every block, so blocks are large; four of them leave work for four threads per
// direction, and more than 64 rows gain nothing.
constexpr index_t recurrence_blocks = 4;
constexpr index_t fewest_recurrence_rows = 8;
constexpr index_t most_recurrence_rows = 64;

// The same trade for the input projection, which has many more rows.
constexpr index_t projection_block_rows = 128;
constexpr index_t projection_block_columns = 512;

// A parallel region costs 0.6 us on two cores of an Ice Lake Xeon, in which one core does some 50,000 multiply-adds.
constexpr double multiply_adds_per_thread = 50e3;

Problem checked(Problem problem) {
  check(problem);
  return problem;
}

}  // namespace

Plan::Plan(Problem unchecked_problem)
    : problem(checked(std::move(unchecked_problem))), rows(problem), kernels(kernels::in_use()) {
  const index_t quarter = (problem.batch + recurrence_blocks - 1) / recurrence_blocks;
  recurrence_rows = {problem.batch, std::clamp(quarter, fewest_recurrence_rows, most_recurrence_rows)};
  projection_rows = {rows.total(), projection_block_rows};
  projection_columns = {gate_count * problem.cell_size, projection_block_columns};
}

int Plan::projection_threads(index_t layer) const {
  return worthwhile_threads(static_cast<double>(rows.total()) * static_cast<double>(problem.layer_input_size(layer)) *
                            static_cast<double>(gate_count * problem.cell_size * problem.num_directions));
}

int Plan::recurrence_threads() const {
  return worthwhile_threads(static_cast<double>(rows.total()) * static_cast<double>(problem.output_size) *
                            static_cast<double>(gate_count * problem.cell_size * problem.num_directions));
}

int Plan::worthwhile_threads(double multiply_adds) const {
  return std::clamp(static_cast<int>(std::min(multiply_adds / multiply_adds_per_thread, 1e6)), 1, problem.threads);
}

}  // namespace lstm_native::plan
