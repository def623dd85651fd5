#include "driver/input_projection.hpp"

#include <algorithm>

#include "blas/blas.hpp"
#include "common/ceil_div.hpp"
#include "plan/packed_layout.hpp"

namespace lstm_native::driver {
namespace {

using kernels::StepRow;
using plan::Plan;
using plan::Span;

// BLAS may round a row differently in a block of another size, so only the shape decides the blocks of its products.
constexpr index_t blas_block_columns = 512;

template <class Real>
void project_with_blas(const Share<Real>& share, Span chunk) {
  const Plan& plan = share.plan;
  const index_t rows = plan.rows.offset(chunk.end) - plan.rows.offset(chunk.begin);
  const index_t outputs = gate_count * plan.problem.cell_size;
  const Rows<const Real>& input = share.layer.input;
  const index_t stride = input.storage.data != nullptr ? input.storage.width : plan.rows.even_stride(input.view);
  const index_t tasks = ceil_div(outputs, blas_block_columns);
  const index_t work_per_row = blas_block_columns * share.direction.weights.input.columns;
  const index_t most_rows = rows_at_once(work_per_row);
  // until all threads have read the last chunk's pre-activations
  if (!share.direction_barrier->wait(share.direction_threads, share.poll)) return;
  for (index_t task = share.index_in_direction; task < tasks; task += share.direction_threads) {
    MatrixView<const Real> weight = share.direction.weights.input;
    const index_t first = task * blas_block_columns;
    weight.data += first * weight.row_stride;
    weight.rows = std::min(blas_block_columns, outputs - first);
    for (index_t row = 0; row < rows; row += most_rows) {
      const index_t count = std::min(most_rows, rows - row);
      if (share.poll.cancelled(count * work_per_row)) return;
      blas::multiply_transposed(count, input.at(plan.rows, chunk.begin, 0) + row * stride, stride, weight,
                                share.direction.pre_activations + row * outputs + first, outputs,
                                /*accumulate=*/false);
    }
  }
  share.direction_barrier->wait(share.direction_threads, share.poll);
}

// Fills the table: where each row of a chunk is read, and where its product goes. Returns the number of rows.
template <class Real>
index_t place_projected_rows(const Share<Real>& share, Span chunk) {
  StepRow<Real>* row = share.table;
  for (index_t step = chunk.begin; step < chunk.end; ++step) {
    const Span active = share.active(step);
    for (index_t r = active.begin; r < active.end; ++r, ++row) {
      row->input = share.layer.input.at(share.plan.rows, step, r);
      row->pre_activations = share.pre_activations(chunk, step, r);
    }
  }
  return row - share.table;
}

template <class Real>
void project_in_place(const Share<Real>& share, index_t row_count) {
  const MatrixView<const Real>& weights = share.direction.weights.input;
  auto product = arguments_of<kernels::ProductInPlace<Real>>(share);
  product.weights = weights.data;
  product.row_stride = weights.row_stride;
  product.size = weights.columns;
  product.bias = bias_panel(share.direction);
  run_in_parts(share, row_count, Parts(row_work(share, product.size)), [&](StepRow<Real>* rows, index_t count) {
    product.rows = rows;
    product.row_count = count;
    plan::kernels_of<Real>(share.plan).product_in_place(product);
  });
}

template <class Real>
bool project_with(const Share<Real>& share, index_t row_count, kernels::StepForward<Real>& projection) {
  const index_t blocks = projection.end_block - projection.first_block;
  const Parts parts(blocks * share.plan.block_elements() * projection.input_size);
  return run_in_parts(share, row_count, parts, [&](StepRow<Real>* rows, index_t count) {
    projection.rows = rows;
    projection.row_count = count;
    plan::step_kernels_of<Real>(share.plan, share.decided()).project(projection);
  });
}

template <class Real>
void project_packed(const Share<Real>& share, index_t row_count) {
  auto projection = step_of(share);
  projection.input_weights = input_panels(share);
  projection.bias = bias_panel(share.direction);
  project_with(share, row_count, projection);
}

// Packs each block right before the rows need it. The kernel sees one block at a time.
template <class Real>
void project_block_by_block(const Share<Real>& share, index_t row_count) {
  const Plan& plan = share.plan;
  const MatrixView<const Real>& weights = share.direction.weights.input;
  const index_t panel_work = weights.columns * plan.block_elements();
  Real* panel = share.direction.packed_input + share.index_in_direction * panel_work;
  auto projection = step_of(share);
  projection.input_weights = panel;
  projection.first_block = 0;
  projection.end_block = 1;
  const auto advance = [&](index_t blocks) {
    for (index_t k = 0; k < row_count; ++k) share.table[k].pre_activations += blocks * plan.block_elements();
  };
  advance(share.blocks.begin);
  for (index_t block = share.blocks.begin; block < share.blocks.end; ++block) {
    if (share.poll.cancelled(panel_work)) return;
    plan::pack_block(plan::step_kernels_of<Real>(plan), weights, plan::RowOrder::gates, block, panel);
    projection.bias = bias_panel(share.direction) + block * plan.block_elements();
    if (!project_with(share, row_count, projection)) return;
    advance(1);
  }
}

template <class Real>
void project_own_blocks(const Share<Real>& share, Span chunk) {
  const index_t row_count = place_projected_rows(share, chunk);
  if (share.decided().input_path == plan::WeightPath::in_place) {
    project_in_place(share, row_count);
  } else if (share.direction.input_block_by_block) {
    project_block_by_block(share, row_count);
  } else {
    project_packed(share, row_count);
  }
}

}  // namespace

template <class Real>
void project_input(const Share<Real>& share, plan::Span chunk) {
  if (share.projects_with_blas()) {
    project_with_blas(share, chunk);
  } else {
    project_own_blocks(share, chunk);
  }
}

template void project_input<float>(const Share<float>&, plan::Span);
template void project_input<double>(const Share<double>&, plan::Span);

}  // namespace lstm_native::driver
