#include "driver/gradient_products.hpp"

#include <algorithm>
#include <utility>

#include "blas/blas.hpp"

namespace lstm_native::driver {
namespace {

using plan::BackwardPlan;
using plan::Span;

// A slice's product packs what the slices share: so many rows of a slice make that small beside the product.
constexpr index_t rows_per_slice = 192;
constexpr index_t columns_per_slice = 64;
constexpr index_t large_slice = 512;
constexpr int fewest_slices = 4;  // where they have columns_per_slice at least
constexpr index_t bias_columns_per_slice = 512;

// BLAS packs what it multiplies, which pays for itself where there are many rows and columns.
constexpr index_t rows_worth_blas = 128;
constexpr index_t columns_worth_blas = 256;

bool own_product(const BackwardPlan& plan, index_t columns) {
  return plan.forward.rows.total() < rows_worth_blas || columns < columns_worth_blas;
}

// How a layer's products are cut.
struct Tasks {
  bool input_by_rows;  // the input's gradient; else by columns
  int input;
  int weights;  // of each of a direction's two matrices: by rows
  int biases;   // of a direction
};

template <class Real>
Tasks tasks_of(const BackwardPlan& plan, const LayerProducts<Real>& layer) {
  const index_t rows = plan.forward.rows.total();
  const bool wants_weights = layer.directions[0].gradients.hidden.data != nullptr;
  Tasks tasks{};
  if (layer.input_gradient != nullptr) {
    const int by_rows = plan::slices_of(rows, rows_per_slice);
    const int by_columns = plan::slices_of(layer.input_size, columns_per_slice);
    tasks.input_by_rows = by_rows >= by_columns || by_rows >= 4;
    tasks.input = tasks.input_by_rows ? by_rows : by_columns;
  }
  if (wants_weights) {
    tasks.weights = std::max(plan::slices_of(plan.gate_columns(), large_slice),
                             std::min(fewest_slices, plan::slices_of(plan.gate_columns(), columns_per_slice)));
    tasks.biases = plan::slices_of(plan.gate_columns(), bias_columns_per_slice);
  }
  return tasks;
}

template <class Real>
void input_gradient(const BackwardPlan& plan, const LayerProducts<Real>& layer, const Tasks& tasks, int slice,
                    Watch& watch) {
  const index_t columns = plan.gate_columns();
  Span rows{0, plan.forward.rows.total()};
  Span features{0, layer.input_size};
  (tasks.input_by_rows ? rows : features) =
      plan::part_of(tasks.input_by_rows ? rows.size() : features.size(), tasks.input, slice);
  for (index_t d = 0; d < plan.problem().num_directions; ++d) {
    const DirectionProducts<Real>& direction = layer.directions[d];
    const MatrixView<const Real>& w = direction.input_weights;
    const MatrixView<const Real> transposed{w.data + features.begin * w.column_stride, features.size(), w.rows,
                                            w.column_stride, w.row_stride};
    const index_t work_per_row = columns * features.size();
    const index_t most_rows = rows_at_once(work_per_row);
    for (index_t row = rows.begin; row < rows.end; row += most_rows) {
      const index_t count = std::min(most_rows, rows.end - row);
      if (watch.stops(count * work_per_row)) return;
      blas::multiply_transposed(count, direction.gate_gradients + row * columns, columns, transposed,
                                layer.input_gradient + row * layer.input_gradient_stride + features.begin,
                                layer.input_gradient_stride, /*accumulate=*/d > 0);
    }
  }
}

// Of gates [gates.begin, gates.end) of a matrix: the sum over rows of their gradients times what they were multiplied
// by.
template <class Real>
void matrix_gradient(const BackwardPlan& plan, const Real* gate_gradients, Span gates, const Real* vectors,
                     index_t vector_stride, MatrixView<Real> gradient, bool accumulate, Watch& watch) {
  gradient.data += gates.begin * gradient.row_stride;
  gradient.rows = gates.size();
  const index_t total = plan.forward.rows.total();
  const index_t work_per_row = gates.size() * gradient.columns;
  const index_t most_rows = rows_at_once(work_per_row);
  if (!own_product(plan, gradient.columns)) {
    for (index_t row = 0; row == 0 || row < total; row += most_rows) {
      const index_t count = std::min(most_rows, total - row);
      if (watch.stops(count * work_per_row)) return;
      blas::multiply_over_rows(count, gate_gradients + row * plan.gate_columns() + gates.begin, plan.gate_columns(),
                               vectors + row * vector_stride, vector_stride, gradient, accumulate || row > 0);
    }
    return;
  }
  if (!accumulate) {
    for (index_t r = 0; r < gradient.rows; ++r) {
      for (index_t c = 0; c < gradient.columns; ++c) {
        gradient.data[r * gradient.row_stride + c * gradient.column_stride] = Real{0};
      }
    }
  }
  kernels::ProductOverRows<Real> product;
  product.left = gate_gradients + gates.begin;
  product.left_stride = plan.gate_columns();
  product.left_columns = gates.size();
  product.right = vectors;
  product.right_stride = vector_stride;
  product.right_columns = gradient.columns;
  product.result_stride = gradient.row_stride;
  if (gradient.column_stride != 1) {  // what has contiguous columns is, read as rows, the transpose: right^T left
    std::swap(product.left, product.right);
    std::swap(product.left_stride, product.right_stride);
    std::swap(product.left_columns, product.right_columns);
    product.result_stride = gradient.column_stride;
  }
  product.result = gradient.data;
  for (index_t row = 0; row < total; row += most_rows) {
    product.rows = std::min(most_rows, total - row);
    if (watch.stops(product.rows * work_per_row)) return;
    plan::kernels_of<Real>(plan.forward).backward.product_over_rows(product);
    product.left += product.rows * product.left_stride;
    product.right += product.rows * product.right_stride;
  }
}

template <class Real>
void bias_gradient(const BackwardPlan& plan, const DirectionProducts<Real>& direction, Span gates, bool accumulate) {
  for (const VectorView<Real>* bias : {&direction.gradients.input_bias, &direction.gradients.hidden_bias}) {
    if (bias->data == nullptr) continue;
    Real* to = bias->data + gates.begin;
    if (!accumulate) std::fill(to, to + gates.size(), Real{0});
    kernels::SumOfRows<Real> sum;
    sum.from = direction.gate_gradients + gates.begin;
    sum.rows = plan.forward.rows.total();
    sum.columns = gates.size();
    sum.row_stride = plan.gate_columns();
    sum.to = to;
    plan::kernels_of<Real>(plan.forward).backward.sum_of_rows(sum);
  }
}

}  // namespace

template <class Real>
void gradient_products(const BackwardPlan& plan, const LayerProducts<Real>& layer, TaskCounter& counter, Watch& watch) {
  const Tasks tasks = tasks_of(plan, layer);
  const index_t gates = plan.gate_columns();
  for (index_t task = counter.take();; task = counter.take()) {
    index_t left = task;
    if (watch.stops(plan.forward.rows.total())) return;
    if (left < tasks.input) {
      input_gradient(plan, layer, tasks, static_cast<int>(left), watch);
      continue;
    }
    left -= tasks.input;
    const index_t per_direction = 2 * tasks.weights + tasks.biases;
    if (left >= per_direction * plan.problem().num_directions) return;
    const DirectionProducts<Real>& direction = layer.directions[left / per_direction];
    left %= per_direction;
    if (left < tasks.weights) {
      matrix_gradient(plan, direction.gate_gradients, plan::part_of(gates, tasks.weights, static_cast<int>(left)),
                      layer.input, layer.input_stride, direction.gradients.input, layer.accumulate, watch);
    } else if (left < 2 * tasks.weights) {
      matrix_gradient(
          plan, direction.gate_gradients, plan::part_of(gates, tasks.weights, static_cast<int>(left - tasks.weights)),
          direction.hidden_before, plan.problem().output_size, direction.gradients.hidden, layer.accumulate, watch);
    } else {
      bias_gradient(plan, direction, plan::part_of(gates, tasks.biases, static_cast<int>(left - 2 * tasks.weights)),
                    layer.accumulate);
    }
  }
}

template void gradient_products<float>(const BackwardPlan&, const LayerProducts<float>&, TaskCounter&, Watch&);
template void gradient_products<double>(const BackwardPlan&, const LayerProducts<double>&, TaskCounter&, Watch&);

}  // namespace lstm_native::driver
