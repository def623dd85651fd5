#include "driver/hidden_projection.hpp"

namespace lstm_native::driver {
namespace {

// W_hr is packed as four gates' weights are, so that one kernel computes both products. Where a format rounds vectors,
// those of the cells' outputs take the places that an input's have: the step is over that used them.
template <class Real>
kernels::StepForward<Real> product_of(const Share<Real>& share) {
  const plan::Plan& plan = share.plan;
  const DirectionForward<Real>& direction = share.direction;
  kernels::StepForward<Real> product;
  product.rows = share.table;
  product.units = plan.output_blocks * plan.lanes;
  product.first_block = share.output_blocks.begin;
  product.end_block = share.output_blocks.end;
  product.input_size = plan.problem.cell_size;
  product.input_weights =
      panels_at(share.decided().projection_path, direction.weights.projection_panels, direction.packed_projection);
  product.vectors = share.vectors;
  product.vector_stride = share.vector_stride;
  product.bias = direction.weights.packed() ? direction.weights.projection_bias : direction.projection_bias;
  return product;
}

}  // namespace

template <class Real>
HiddenProjection<Real>::HiddenProjection(const Share<Real>& share)
    : share_(share),
      product_(product_of(share)),
      parts_(share.output_blocks.size() * share.plan.block_elements() * share.plan.problem.cell_size) {}

template <class Real>
bool HiddenProjection<Real>::run(index_t step, index_t row_count, bool blocks_descending) {
  const plan::Plan& plan = share_.plan;
  const DirectionForward<Real>& direction = share_.direction;
  if (!share_.group_barrier->wait(share_.group_threads, share_.poll)) return false;
  for (index_t k = 0; k < row_count; ++k) {
    kernels::StepRow<Real>& row = share_.table[k];
    row.input = row.next_hidden;
    row.pre_activations = direction.projected.row(share_.rows.begin + k);
    row.next_hidden = direction.output.at(plan.rows, step, share_.rows.begin + k);
  }
  const plan::Span own = own_projected(share_);
  if (own.size() == 0) return true;
  if (!(product_.input_weights != nullptr ? multiply(row_count, blocks_descending) : multiply_in_place(row_count)))
    return false;
  for (index_t k = 0; k < row_count; ++k) {
    const Real* from = direction.projected.row(share_.rows.begin + k);
    std::copy(from + own.begin, from + own.end, share_.table[k].next_hidden + own.begin);
  }
  return true;
}

template <class Real>
bool HiddenProjection<Real>::multiply(index_t row_count, bool blocks_descending) {
  product_.blocks_descending = blocks_descending;
  return run_in_parts(share_, row_count, parts_, [&](kernels::StepRow<Real>* rows, index_t count) {
    product_.rows = rows;
    product_.row_count = count;
    plan::step_kernels_of<Real>(share_.plan).project(product_);
  });
}

// The rows of W_hr in a block have the places of four gates.
template <class Real>
bool HiddenProjection<Real>::multiply_in_place(index_t row_count) {
  const MatrixView<const Real>& weights = share_.direction.weights.projection;
  const index_t block_rows = share_.plan.block_elements();
  const auto advance = [&](index_t elements) {
    for (index_t k = 0; k < row_count; ++k) share_.table[k].pre_activations += elements;
  };
  advance(share_.output_blocks.begin * block_rows);
  for (index_t block = share_.output_blocks.begin; block < share_.output_blocks.end; ++block) {
    kernels::ProductInPlace<Real> product;
    product.units = std::min(block_rows, weights.rows - block * block_rows) / gate_count;
    product.end_block = 1;
    product.weights = weights.data + block * block_rows * weights.row_stride;
    product.row_stride = weights.row_stride;
    product.size = weights.columns;
    product.bias = product_.bias;
    product.pre_block_stride = block_rows;
    product.pre_gate_stride = product.units;
    const Parts parts(block_rows * weights.columns);
    const bool goes_on = run_in_parts(share_, row_count, parts, [&](kernels::StepRow<Real>* rows, index_t count) {
      product.rows = rows;
      product.row_count = count;
      plan::kernels_of<Real>(share_.plan).product_in_place(product);
    });
    if (!goes_on) return false;
    advance(block_rows);
  }
  return true;
}

template class HiddenProjection<float>;
template class HiddenProjection<double>;

}  // namespace lstm_native::driver
