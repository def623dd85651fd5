#include "driver/gradient_products.hpp"

#include <algorithm>
#include <utility>

#include "blas/blas.hpp"
#include "common/ceil_div.hpp"
#include "driver/panels.hpp"
#include "driver/peephole_gradient.hpp"

namespace lstm_native::driver {
namespace {

using plan::BackwardPlan;
using plan::Span;

// The rows of a packed product's result per task. Their factor stays in the L2 cache while all panels are read.
constexpr index_t rows_per_task = 48;
// The same for a product that is not packed, and for the biases.
constexpr index_t gates_per_task = 64;
constexpr int fewest_tasks = 4;  // if each has at least gates_per_task gates
constexpr index_t large_task = 512;

int tasks_of_rows(index_t rows) { return static_cast<int>(ceil_div(rows, rows_per_task)); }

Span rows_of_task(index_t rows, index_t task) {
  return {task * rows_per_task, std::min((task + 1) * rows_per_task, rows)};
}

// One vector of each row.
template <class Real>
struct Factor {
  const Real* vectors;
  index_t stride;
  index_t columns;
  const PackedRows<Real>& packed;
};

// One of a direction's matrices: its gradient is a sum over rows of left^T right.
template <class Real>
struct Matrix {
  Factor<Real> left;   // the gradients of the product's result, for example of the pre-activations
  Factor<Real> right;  // what it multiplied
  const MatrixView<Real>& gradient;

  bool by_rows() const { return gradient.column_stride == 1; }
  bool is_packed() const { return (by_rows() ? right.packed.panels : right.packed.transposed) != nullptr; }
};

// One block of rows of a layer.
template <class Real>
struct Block {
  const BackwardPlan& plan;
  const LayerProducts<Real>& layer;
  Span rows;

  index_t gate_columns() const { return plan.gate_columns(); }
  index_t transposed_stride() const { return plan.transposed_stride<Real>(); }
  bool accumulate() const { return layer.accumulate || rows.begin > 0; }
  const DirectionProducts<Real>& direction(index_t d) const { return layer.directions[d]; }
  const Real* gates(index_t d) const { return direction(d).gate_gradients.row(rows.begin); }
  Matrix<Real> input(index_t d) const {
    const Factor<Real> read{layer.input + rows.begin * layer.input_stride, layer.input_stride, layer.input_size,
                            layer.packed_input};
    return {of_gates(d), read, direction(d).gradients.input};
  }
  Matrix<Real> hidden(index_t d) const {
    return {of_gates(d), factor(direction(d).previous_hidden, direction(d).packed_hidden),
            direction(d).gradients.hidden};
  }
  Matrix<Real> projection(index_t d) const {
    return {factor(direction(d).hidden_gradients, direction(d).packed_hidden_gradients),
            factor(direction(d).cell_outputs, direction(d).packed_cell_outputs), direction(d).gradients.projection};
  }
  bool projects() const { return direction(0).gradients.projection.data != nullptr; }
  Factor<Real> of_gates(index_t d) const { return factor(direction(d).gate_gradients, direction(d).packed_gates); }
  Factor<Real> factor(const StoredRows<const Real>& from, const PackedRows<Real>& packed) const {
    return {from.row(rows.begin), from.width, from.width, packed};
  }
  const kernels::BackwardKernels<Real>& kernels() const { return plan::kernels_of<Real>(plan.forward).backward; }
};

template <class Real>
void pack_factor(const Block<Real>& block, Span mine, const Factor<Real>& from, CancellationPoll& poll) {
  if (from.packed.panels != nullptr) {
    pack_panels<Real>({from.vectors, block.rows.size(), from.columns, from.stride, 1}, mine, block.plan.group_units,
                      from.packed.panels, poll);
  }
  if (from.packed.transposed == nullptr) return;
  const index_t lanes = block.plan.forward.lanes;
  for (index_t r = mine.begin; r < mine.end; r += lanes) {
    if (poll.cancelled(lanes * from.columns)) return;
    kernels::PackRows<Real> rows;
    rows.from = from.vectors + r * from.stride;
    rows.row_stride = from.stride;
    rows.row_count = std::min(lanes, mine.end - r);
    rows.size = from.columns;
    rows.to = from.packed.transposed + r;
    rows.to_stride = block.transposed_stride();
    plan::kernels_of<Real>(block.plan.forward).pack_rows(rows);
  }
}

// Each thread packs some rows of the block.
template <class Real>
void pack_factors(const Block<Real>& block, const Team& team, CancellationPoll& poll) {
  const index_t lanes = block.plan.forward.lanes;
  const Span vectors = plan::part_of(ceil_div(block.rows.size(), lanes), team.size, team.index);
  const Span mine{vectors.begin * lanes, std::min(vectors.end * lanes, block.rows.size())};
  for (index_t d = 0; d < block.plan.problem().num_directions; ++d) {
    const DirectionProducts<Real>& direction = block.direction(d);
    if (d == 0) pack_factor(block, mine, block.input(d).right, poll);
    pack_factor(block, mine, block.hidden(d).right, poll);
    pack_factor(block, mine, block.of_gates(d), poll);
    if (block.projects()) {
      const Matrix<Real> projection = block.projection(d);
      pack_factor(block, mine, projection.left, poll);
      pack_factor(block, mine, projection.right, poll);
    }
    if (direction.packed_input_weights != nullptr && block.rows.begin == 0) {
      pack_panels(direction.input_weights, plan::part_of(block.gate_columns(), team.size, team.index),
                  block.plan.group_units, direction.packed_input_weights, poll);
    }
  }
}

// Takes some columns at a time, which changes no order of sums. If the call is cancelled, the rest is missing.
template <class Real>
void multiply_panels(const Block<Real>& block, kernels::PanelProduct<Real> product, CancellationPoll& poll) {
  const index_t work_of_group = product.rows * product.size * block.plan.group_units;
  const index_t most = rows_at_once(work_of_group) * block.plan.group_units;
  for (index_t left = product.columns; left > 0; left -= most) {
    product.columns = std::min(most, left);
    block.kernels().panel_product(product);
    if (poll.cancelled(product.columns * product.rows * product.size)) return;
    product.panels += most * product.size;
    product.result += most;
  }
}

// By BLAS, in blocks of columns. Only the shape decides their size: BLAS may round differently in other blocks.
template <class Real>
void multiply_weights(const MatrixView<const Real>& weights, const kernels::PanelProduct<Real>& product,
                      CancellationPoll& poll) {
  const index_t work_of_column = product.rows * product.size;
  const index_t most = rows_at_once(work_of_column);
  for (index_t first = 0; first < product.columns; first += most) {
    const index_t count = std::min(most, product.columns - first);
    const MatrixView<const Real> transposed{weights.data + first * weights.column_stride, count, weights.rows,
                                            weights.column_stride, weights.row_stride};
    blas::multiply_transposed(product.rows, product.left, product.left_stride, transposed, product.result + first,
                              product.result_stride, product.accumulate);
    if (poll.cancelled(count * work_of_column)) return;
  }
}

template <class Real>
void input_gradient(const Block<Real>& block, index_t task, CancellationPoll& poll) {
  const LayerProducts<Real>& layer = block.layer;
  const Span rows = rows_of_task(block.rows.size(), task);
  for (index_t d = 0; d < block.plan.problem().num_directions; ++d) {
    const DirectionProducts<Real>& direction = block.direction(d);
    kernels::PanelProduct<Real> product;
    product.rows = rows.size();
    product.size = block.gate_columns();
    product.left = block.gates(d) + rows.begin * block.gate_columns();
    product.left_stride = block.gate_columns();
    product.panels = direction.packed_input_weights;
    product.columns = layer.input_size;
    product.result = layer.input_gradient + (block.rows.begin + rows.begin) * layer.input_gradient_stride;
    product.result_stride = layer.input_gradient_stride;
    product.accumulate = d > 0;
    if (product.panels != nullptr) {
      multiply_panels(block, product, poll);
    } else {
      multiply_weights(direction.input_weights, product, poll);
    }
    if (poll.cancelled(0)) return;
  }
}

template <class Real>
void packed_product(const Block<Real>& block, const Matrix<Real>& matrix, index_t task, CancellationPoll& poll) {
  const bool by_rows = matrix.by_rows();
  const PackedRows<Real>& left = (by_rows ? matrix.left : matrix.right).packed;
  const PackedRows<Real>& right = (by_rows ? matrix.right : matrix.left).packed;
  const MatrixView<Real>& gradient = matrix.gradient;
  const Span rows = rows_of_task(by_rows ? gradient.rows : gradient.columns, task);
  kernels::PanelProduct<Real> product;
  product.rows = rows.size();
  product.size = block.rows.size();
  product.left_stride = block.transposed_stride();
  product.left = left.transposed + rows.begin * product.left_stride;
  product.panels = right.panels;
  product.columns = by_rows ? gradient.columns : gradient.rows;
  product.result_stride = by_rows ? gradient.row_stride : gradient.column_stride;
  product.result = gradient.data + rows.begin * product.result_stride;
  product.accumulate = block.accumulate();
  multiply_panels(block, product, poll);
}

// The gradients of some rows of the weights, for some columns.
template <class Real>
void unpacked_gradient(const Block<Real>& block, const Matrix<Real>& matrix, Span rows, Span columns) {
  MatrixView<Real> gradient = matrix.gradient;
  gradient.data += rows.begin * gradient.row_stride + columns.begin * gradient.column_stride;
  gradient.rows = rows.size();
  gradient.columns = columns.size();
  if (!block.accumulate()) {
    for (index_t r = 0; r < gradient.rows; ++r) {
      for (index_t c = 0; c < gradient.columns; ++c) {
        gradient.data[r * gradient.row_stride + c * gradient.column_stride] = Real{0};
      }
    }
  }
  kernels::ProductOverRows<Real> product;
  product.rows = block.rows.size();
  product.left = matrix.left.vectors + rows.begin;
  product.left_stride = matrix.left.stride;
  product.left_columns = rows.size();
  product.right = matrix.right.vectors + columns.begin;
  product.right_stride = matrix.right.stride;
  product.right_columns = gradient.columns;
  product.result_stride = gradient.row_stride;
  if (!matrix.by_rows()) {  // contiguous columns, read as rows, are the transpose: right^T left
    std::swap(product.left, product.right);
    std::swap(product.left_stride, product.right_stride);
    std::swap(product.left_columns, product.right_columns);
    product.result_stride = gradient.column_stride;
  }
  product.result = gradient.data;
  block.kernels().product_over_rows(product);
}

template <class Real>
void unpacked_gradient(const Block<Real>& block, const Matrix<Real>& matrix, Span rows, CancellationPoll& poll) {
  const index_t work_of_column = block.rows.size() * rows.size();
  const index_t most = rows_at_once(work_of_column);
  for (index_t first = 0; first < matrix.right.columns; first += most) {
    const Span columns{first, std::min(first + most, matrix.right.columns)};
    unpacked_gradient(block, matrix, rows, columns);
    if (poll.cancelled(columns.size() * work_of_column)) return;
  }
}

template <class Real>
void bias_gradient(const Block<Real>& block, index_t d, Span gates) {
  const WeightGradients<Real>& gradients = block.direction(d).gradients;
  for (const VectorView<Real>* bias : {&gradients.input_bias, &gradients.hidden_bias}) {
    if (bias->data == nullptr) continue;
    Real* to = bias->data + gates.begin;
    if (!block.accumulate()) std::fill(to, to + gates.size(), Real{0});
    kernels::SumOfRows<Real> sum;
    sum.from = block.gates(d) + gates.begin;
    sum.rows = block.rows.size();
    sum.columns = gates.size();
    sum.row_stride = block.gate_columns();
    sum.to = to;
    block.kernels().sum_of_rows(sum);
  }
}

// How a block's products are cut.
template <class Real>
struct Tasks {
  explicit Tasks(const Block<Real>& block) {
    const index_t gates = block.gate_columns();
    if (block.layer.input_gradient != nullptr) of_input_gradient = tasks_of_rows(block.rows.size());
    if (block.direction(0).gradients.hidden.data == nullptr) return;
    const auto of = [&](const Matrix<Real>& matrix) {
      const index_t rows = matrix.left.columns;
      if (!matrix.is_packed()) {
        return std::max(plan::slices_of(rows, large_task),
                        std::min(fewest_tasks, plan::slices_of(rows, gates_per_task)));
      }
      return tasks_of_rows(matrix.by_rows() ? matrix.gradient.rows : matrix.gradient.columns);
    };
    of_input_weights = of(block.input(0));
    of_hidden_weights = of(block.hidden(0));
    if (block.projects()) of_projection = of(block.projection(0));
    of_biases = plan::slices_of(gates, large_task);
    // The peepholes' sums run over all rows, in tasks of the first block.
    const bool has_peepholes = block.direction(0).gradients.peephole.data != nullptr;
    if (has_peepholes && block.rows.begin == 0) of_peepholes = plan::slices_of(gates / gate_count, gates_per_task);
  }

  int of_input_gradient = 0;
  int of_input_weights = 0;  // of a direction, as the numbers below
  int of_hidden_weights = 0;
  int of_projection = 0;
  int of_biases = 0;
  int of_peepholes = 0;
  int of_direction() const { return of_input_weights + of_hidden_weights + of_projection + of_biases + of_peepholes; }
};

template <class Real>
void matrix_gradient(const Block<Real>& block, const Matrix<Real>& matrix, int tasks, int task,
                     CancellationPoll& poll) {
  if (matrix.is_packed()) {
    packed_product(block, matrix, task, poll);
  } else {
    unpacked_gradient(block, matrix, plan::part_of(matrix.left.columns, tasks, task), poll);
  }
}

template <class Real>
void run_task(const Block<Real>& block, const Tasks<Real>& tasks, index_t d, int task, CancellationPoll& poll) {
  if (task < tasks.of_input_weights) {
    matrix_gradient(block, block.input(d), tasks.of_input_weights, task, poll);
    return;
  }
  task -= tasks.of_input_weights;
  if (task < tasks.of_hidden_weights) {
    matrix_gradient(block, block.hidden(d), tasks.of_hidden_weights, task, poll);
    return;
  }
  task -= tasks.of_hidden_weights;
  if (task < tasks.of_projection) {
    matrix_gradient(block, block.projection(d), tasks.of_projection, task, poll);
    return;
  }
  task -= tasks.of_projection;
  if (task >= tasks.of_biases) {
    const Span units = plan::part_of(block.plan.problem().cell_size, tasks.of_peepholes, task - tasks.of_biases);
    peephole_gradient(block.plan, block.direction(d), units, block.layer.accumulate, poll);
    return;
  }
  bias_gradient(block, d, plan::part_of(block.gate_columns(), tasks.of_biases, task));
}

}  // namespace

template <class Real>
bool gradient_products(const BackwardPlan& plan, const LayerProducts<Real>& layer, const Team& team, Barrier& barrier,
                       CancellationPoll& poll, TaskCounter* counters) {
  const index_t total = plan.forward.rows.total();
  const index_t size = plan.product_rows();
  const index_t widest = std::max(layer.input_size, plan.problem().cell_size);
  for (index_t k = 0; k < plan.product_blocks(); ++k) {
    const Block<Real> block{plan, layer, {k * size, std::min((k + 1) * size, total)}};
    if (k > 0 && !barrier.wait(team.size, poll))
      return false;  // until all threads have read the last block's packed rows
    pack_factors(block, team, poll);
    if (!barrier.wait(team.size, poll)) return false;
    const Tasks<Real> tasks(block);
    const index_t end = tasks.of_input_gradient + plan.problem().num_directions * tasks.of_direction();
    for (index_t task = counters[k].take(); task < end; task = counters[k].take()) {
      if (poll.cancelled(rows_per_task * block.rows.size() * widest)) return false;
      if (task < tasks.of_input_gradient) {
        input_gradient(block, task, poll);
      } else {
        const index_t of_weights = task - tasks.of_input_gradient;
        run_task(block, tasks, of_weights / tasks.of_direction(), static_cast<int>(of_weights % tasks.of_direction()),
                 poll);
      }
    }
  }
  return true;
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                           \
  template bool gradient_products<Real>(const BackwardPlan&, const LayerProducts<Real>&, const Team&, Barrier&, \
                                        CancellationPoll&, TaskCounter*);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::driver
