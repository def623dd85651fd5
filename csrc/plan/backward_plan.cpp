#include "plan/backward_plan.hpp"

#include <algorithm>
#include <climits>
#include <stdexcept>

#include "common/ceil_div.hpp"

namespace lstm_native::plan {
namespace {

// A step of this many rows or fewer is bound by reading W_hh. Packing W_hh makes that no faster.
constexpr index_t few_rows = 1;

// A thread pays off from this many multiply-adds on, some 10 us of work.
constexpr double multiply_adds_per_thread = 5e5;

constexpr int most_slices = 16;

// A product over rows reads and writes its result once per block of rows. Larger blocks do so less often; smaller
// blocks need less memory.
constexpr index_t most_product_rows = 1024;

// Packing reads and writes each operand once. It pays off from these sizes on.
constexpr index_t rows_worth_packing_weights = 24;
constexpr index_t rows_worth_packing = 128;
constexpr index_t columns_worth_packing = 256;

}  // namespace

BackwardPlan::BackwardPlan(const Plan& forward_plan, const BackwardWants& backward_wants)
    : forward(forward_plan),
      wants(backward_wants),
      group_units(kernels::backward_group_vectors * forward.lanes),
      groups(ceil_div(problem().cell_size, group_units)),
      output_groups(ceil_div(problem().output_size, group_units)),
      hidden_in_place(problem().batch <= few_rows && problem().output_size % group_units == 0),
      projection_in_place(problem().batch <= few_rows && problem().cell_size % group_units == 0),
      threads(1),
      split_{} {
  for (const index_t size : {gate_columns(), problem().input_size, problem().layer_output_size()}) {
    if (size > INT_MAX) throw std::length_error("a size of this call is beyond what a BLAS can count");
  }
  const double columns =
      static_cast<double>(problem().layer_input_size(0)) + static_cast<double>(problem().output_size);
  const double multiply_adds = static_cast<double>(forward.rows.total()) * static_cast<double>(gate_columns()) *
                               columns * static_cast<double>(problem().num_directions);
  const double worthwhile = std::min(multiply_adds / multiply_adds_per_thread, static_cast<double>(problem().threads));
  threads = std::max(1, static_cast<int>(worthwhile));
  split_ = chosen_split(threads);
}

index_t BackwardPlan::product_rows() const { return std::min(forward.rows.total(), most_product_rows); }

index_t BackwardPlan::product_blocks() const {
  // A call without rows still overwrites the gradients, in one block.
  return std::max(index_t{1}, ceil_div(forward.rows.total(), most_product_rows));
}

bool BackwardPlan::packs_input_weights() const { return forward.rows.total() >= rows_worth_packing_weights; }

bool BackwardPlan::packs_rows(index_t columns) const {
  return forward.rows.total() >= rows_worth_packing && columns >= columns_worth_packing;
}

Split BackwardPlan::chosen_split(int team) const {
  LayerWork work = forward.layer(0).work;
  // A step has the multiply-adds of the forward step's recurrent part. It reads only W_hh, and is shared in groups of
  // units.
  work.input_size = 0;
  work.fused_input = false;
  work.blocks = groups;
  work.lanes = group_units;
  work.output_blocks = 0;
  return choose_split(work, team);
}

int slices_of(index_t total, index_t least) {
  int slices = 1;
  while (slices < most_slices && total / (index_t{2} * slices) >= least) slices *= 2;
  return slices;
}

}  // namespace lstm_native::plan
