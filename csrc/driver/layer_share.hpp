// driver: one thread's share of a layer, for the parts of its work.
#pragma once

#include <algorithm>

#include "driver/layer_forward.hpp"
#include "plan/time_order.hpp"

namespace lstm_native::driver {

// One thread's share of one direction.
template <class Real>
struct Share {
  const plan::Plan& plan;
  const LayerForward<Real>& layer;
  const DirectionForward<Real>& direction;
  plan::Span rows;           // of the batch
  plan::Span blocks;         // of units
  plan::Span output_blocks;  // of the projection
  Barrier* direction_barrier;
  int direction_threads;
  int index_in_direction;
  Barrier* group_barrier;
  int group_threads;
  CancellationPoll& poll;
  kernels::StepRow<Real>* table;
  std::byte* vectors;  // see plan::ThreadScratch
  index_t vector_stride;
  const Progress* below;  // of the layer below, in a wavefront; else null
  Progress* own;

  const plan::LayerPlan& decided() const { return *layer.plan; }
  bool projects_hidden() const { return direction.cell_outputs.data != nullptr; }
  bool projects_with_blas() const { return decided().input_path == plan::WeightPath::blas; }
  // The layout of a row's pre-activations: packed, or as BLAS writes them.
  index_t pre_row_stride() const {
    return projects_with_blas() ? gate_count * plan.problem.cell_size : plan.row_elements();
  }
  index_t pre_block_stride() const { return projects_with_blas() ? plan.lanes : plan.block_elements(); }
  index_t pre_gate_stride() const { return projects_with_blas() ? plan.problem.cell_size : plan.lanes; }
  // BLAS fills the active rows of a chunk in storage order. Our kernels have a place for each step of each row: a group
  // of rows that is some chunks ahead of another then never writes to the other's places.
  Real* pre_activations(plan::Span chunk, index_t step, index_t row) const {
    if (direction.pre_activations == nullptr) return nullptr;
    const index_t place = projects_with_blas()
                              ? plan.rows.offset(step) - plan.rows.offset(chunk.begin) + row
                              : rows.begin * plan.chunk_steps + (step - chunk.begin) * rows.size() + row - rows.begin;
    return direction.pre_activations + place * pre_row_stride();
  }
  plan::TimeOrder order() const { return {plan.rows, direction.reverse}; }
  plan::Span active(index_t step) const {
    return {rows.begin, std::max(rows.begin, std::min(plan.rows.count(step), rows.end))};
  }
};

// The multiply-adds of one row with that many columns.
template <class Real>
index_t row_work(const Share<Real>& share, index_t columns) {
  return share.blocks.size() * share.plan.block_elements() * columns;
}

// The rows that a kernel gets at once. Grouping rows changes no bits.
struct Parts {
  explicit Parts(index_t multiply_adds_per_row)
      : work_per_row(multiply_adds_per_row), most_rows(rows_at_once(work_per_row)) {}
  index_t work_per_row;
  index_t most_rows;
};

// Calls run(rows, count) for parts of the first `count` rows of the table, polling between parts.
// False: the call is cancelled. The caller polls before or afterwards.
template <class Real, class Run>
bool run_in_parts(const Share<Real>& share, index_t count, const Parts& parts, const Run& run) {
  for (index_t first = 0; first < count;) {
    const index_t part = std::min(parts.most_rows, count - first);
    run(share.table + first, part);
    first += part;
    if (first < count && share.poll.cancelled(part * parts.work_per_row)) return false;
  }
  return true;
}

// The panels of a matrix, or null.
inline const void* panels_at(plan::WeightPath path, const void* packed, const void* packed_per_call) {
  if (path == plan::WeightPath::packed) return packed;
  return plan::copies_panels(path) ? packed_per_call : nullptr;
}

template <class Real>
const void* input_panels(const Share<Real>& share) {
  return panels_at(share.decided().input_path, share.direction.weights.input_panels, share.direction.packed_input);
}

template <class Real>
const void* hidden_panels(const Share<Real>& share) {
  return panels_at(share.decided().hidden_path, share.direction.weights.hidden_panels, share.direction.packed_hidden);
}

template <class Real>
const Real* bias_panel(const DirectionForward<Real>& direction) {
  return direction.weights.packed() ? direction.weights.bias_panel : direction.bias_panel;
}

// The arguments of a kernel that describe a thread's share.
template <class Arguments, class Real>
Arguments arguments_of(const Share<Real>& share) {
  Arguments arguments;
  arguments.rows = share.table;
  arguments.units = share.plan.problem.cell_size;
  arguments.first_block = share.blocks.begin;
  arguments.end_block = share.blocks.end;
  arguments.pre_block_stride = share.pre_block_stride();
  arguments.pre_gate_stride = share.pre_gate_stride();
  return arguments;
}

// The same for kernels with packed weights, which may round the rows' vectors.
template <class Real>
kernels::StepForward<Real> step_of(const Share<Real>& share) {
  auto step = arguments_of<kernels::StepForward<Real>>(share);
  step.input_size = share.decided().work.input_size;
  step.hidden_size = share.plan.problem.output_size;
  step.vectors = share.vectors;
  step.vector_stride = share.vector_stride;
  return step;
}

}  // namespace lstm_native::driver
