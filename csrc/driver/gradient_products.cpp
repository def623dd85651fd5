#include "driver/gradient_products.hpp"

#include <algorithm>
#include <utility>

#include "blas/blas.hpp"
#include "driver/panels.hpp"
#include "driver/peephole_gradient.hpp"

namespace lstm_native::driver {
namespace {

using plan::BackwardPlan;
using plan::Span;

// Rows of a packed product's result that make a task: what they are made of stays in the L2 cache for all panels.
constexpr index_t rows_per_task = 48;
// Of a product that is not packed, and of the biases.
constexpr index_t gates_per_task = 64;
constexpr int fewest_tasks = 4;  // where they have gates_per_task at least
constexpr index_t large_task = 512;

int tasks_of_rows(index_t rows) { return static_cast<int>((rows + rows_per_task - 1) / rows_per_task); }

Span rows_of_task(index_t rows, index_t task) {
  return {task * rows_per_task, std::min((task + 1) * rows_per_task, rows)};
}

// One of a direction's two matrices: its gradient is a sum over rows of those of the gates times these vectors.
template <class Real>
struct Matrix {
  const Real* vectors;
  index_t stride;
  index_t columns;
  const PackedRows<Real>& packed;
  const MatrixView<Real>& gradient;

  bool by_gates() const { return gradient.column_stride == 1; }
  bool is_packed() const { return (by_gates() ? packed.panels : packed.transposed) != nullptr; }
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
    return {layer.input + rows.begin * layer.input_stride, layer.input_stride, layer.input_size, layer.packed_input,
            direction(d).gradients.input};
  }
  Matrix<Real> hidden(index_t d) const {
    const StoredRows<const Real>& before = direction(d).hidden_before;
    return {before.row(rows.begin), before.width, before.width, direction(d).packed_hidden,
            direction(d).gradients.hidden};
  }
  const kernels::BackwardKernels<Real>& kernels() const { return plan::kernels_of<Real>(plan.forward).backward; }
};

template <class Real>
void pack_rows(const Block<Real>& block, Span mine, const Real* from, index_t stride, index_t columns,
               const PackedRows<Real>& to, Watch& watch) {
  if (to.panels != nullptr) {
    pack_panels<Real>({from, block.rows.size(), columns, stride, 1}, mine, block.plan.group_units, to.panels, watch);
  }
  if (to.transposed == nullptr) return;
  const index_t lanes = block.plan.forward.lanes;
  for (index_t r = mine.begin; r < mine.end; r += lanes) {
    if (watch.stops(lanes * columns)) return;
    kernels::PackRows<Real> rows;
    rows.from = from + r * stride;
    rows.row_stride = stride;
    rows.row_count = std::min(lanes, mine.end - r);
    rows.size = columns;
    rows.to = to.transposed + r;
    rows.to_stride = block.transposed_stride();
    plan::kernels_of<Real>(block.plan.forward).pack_rows(rows);
  }
}

// Each thread packs some rows of the block.
template <class Real>
void pack_block(const Block<Real>& block, const Team& team, Watch& watch) {
  const index_t lanes = block.plan.forward.lanes;
  const Span vectors = plan::part_of((block.rows.size() + lanes - 1) / lanes, team.size, team.index);
  const Span mine{vectors.begin * lanes, std::min(vectors.end * lanes, block.rows.size())};
  for (index_t d = 0; d < block.plan.problem().num_directions; ++d) {
    const DirectionProducts<Real>& direction = block.direction(d);
    if (d == 0) {
      const Matrix<Real> input = block.input(d);
      pack_rows(block, mine, input.vectors, input.stride, input.columns, input.packed, watch);
    }
    const Matrix<Real> hidden = block.hidden(d);
    pack_rows(block, mine, hidden.vectors, hidden.stride, hidden.columns, hidden.packed, watch);
    pack_rows(block, mine, block.gates(d), block.gate_columns(), block.gate_columns(), direction.packed_gates, watch);
    if (direction.packed_input_weights != nullptr && block.rows.begin == 0) {
      pack_panels(direction.input_weights, plan::part_of(block.gate_columns(), team.size, team.index),
                  block.plan.group_units, direction.packed_input_weights, watch);
    }
  }
}

// Some columns at a time, which changes no order of sums; where the call is to end, not all of them.
template <class Real>
void multiply_panels(const Block<Real>& block, kernels::PanelProduct<Real> product, Watch& watch) {
  const index_t work_of_group = product.rows * product.size * block.plan.group_units;
  const index_t most = rows_at_once(work_of_group) * block.plan.group_units;
  for (index_t left = product.columns; left > 0; left -= most) {
    product.columns = std::min(most, left);
    block.kernels().panel_product(product);
    if (watch.stops(product.columns * product.rows * product.size)) return;
    product.panels += most * product.size;
    product.result += most;
  }
}

// By BLAS, some columns at a time, as many as the shape says: BLAS may round differently in other blocks.
template <class Real>
void multiply_weights(const MatrixView<const Real>& weights, const kernels::PanelProduct<Real>& product, Watch& watch) {
  const index_t work_of_column = product.rows * product.size;
  const index_t most = rows_at_once(work_of_column);
  for (index_t first = 0; first < product.columns; first += most) {
    const index_t count = std::min(most, product.columns - first);
    const MatrixView<const Real> transposed{weights.data + first * weights.column_stride, count, weights.rows,
                                            weights.column_stride, weights.row_stride};
    blas::multiply_transposed(product.rows, product.left, product.left_stride, transposed, product.result + first,
                              product.result_stride, product.accumulate);
    if (watch.stops(count * work_of_column)) return;
  }
}

template <class Real>
void input_gradient(const Block<Real>& block, index_t task, Watch& watch) {
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
      multiply_panels(block, product, watch);
    } else {
      multiply_weights(direction.input_weights, product, watch);
    }
    if (watch.stops(0)) return;
  }
}

template <class Real>
void packed_product(const Block<Real>& block, index_t d, const Matrix<Real>& matrix, index_t task, Watch& watch) {
  const PackedRows<Real>& gates = block.direction(d).packed_gates;
  const bool by_gates = matrix.by_gates();
  const MatrixView<Real>& gradient = matrix.gradient;
  const Span rows = rows_of_task(by_gates ? gradient.rows : gradient.columns, task);
  kernels::PanelProduct<Real> product;
  product.rows = rows.size();
  product.size = block.rows.size();
  product.left_stride = block.transposed_stride();
  product.left = (by_gates ? gates : matrix.packed).transposed + rows.begin * product.left_stride;
  product.panels = (by_gates ? matrix.packed : gates).panels;
  product.columns = by_gates ? gradient.columns : gradient.rows;
  product.result_stride = by_gates ? gradient.row_stride : gradient.column_stride;
  product.result = gradient.data + rows.begin * product.result_stride;
  product.accumulate = block.accumulate();
  multiply_panels(block, product, watch);
}

// The gradients of some gates' weights for some columns.
template <class Real>
void product_in_place(const Block<Real>& block, index_t d, const Matrix<Real>& matrix, Span gates, Span columns) {
  MatrixView<Real> gradient = matrix.gradient;
  gradient.data += gates.begin * gradient.row_stride + columns.begin * gradient.column_stride;
  gradient.rows = gates.size();
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
  product.left = block.gates(d) + gates.begin;
  product.left_stride = block.gate_columns();
  product.left_columns = gates.size();
  product.right = matrix.vectors + columns.begin;
  product.right_stride = matrix.stride;
  product.right_columns = gradient.columns;
  product.result_stride = gradient.row_stride;
  if (!matrix.by_gates()) {  // what has contiguous columns is, read as rows, the transpose: right^T left
    std::swap(product.left, product.right);
    std::swap(product.left_stride, product.right_stride);
    std::swap(product.left_columns, product.right_columns);
    product.result_stride = gradient.column_stride;
  }
  product.result = gradient.data;
  block.kernels().product_over_rows(product);
}

template <class Real>
void product_in_place(const Block<Real>& block, index_t d, const Matrix<Real>& matrix, Span gates, Watch& watch) {
  const index_t work_of_column = block.rows.size() * gates.size();
  const index_t most = rows_at_once(work_of_column);
  for (index_t first = 0; first < matrix.columns; first += most) {
    const Span columns{first, std::min(first + most, matrix.columns)};
    product_in_place(block, d, matrix, gates, columns);
    if (watch.stops(columns.size() * work_of_column)) return;
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
    const int in_place =
        std::max(plan::slices_of(gates, large_task), std::min(fewest_tasks, plan::slices_of(gates, gates_per_task)));
    const auto of = [&](const Matrix<Real>& matrix) {
      if (!matrix.is_packed()) return in_place;
      return tasks_of_rows(matrix.by_gates() ? matrix.gradient.rows : matrix.gradient.columns);
    };
    of_input_weights = of(block.input(0));
    of_hidden_weights = of(block.hidden(0));
    of_biases = plan::slices_of(gates, large_task);
    // Over all rows, in the first block's tasks.
    const bool has_peepholes = block.direction(0).gradients.peephole.data != nullptr;
    if (has_peepholes && block.rows.begin == 0) of_peepholes = plan::slices_of(gates / gate_count, gates_per_task);
  }

  int of_input_gradient = 0;
  int of_input_weights = 0;  // of a direction, as the others
  int of_hidden_weights = 0;
  int of_biases = 0;
  int of_peepholes = 0;
  int of_direction() const { return of_input_weights + of_hidden_weights + of_biases + of_peepholes; }
};

template <class Real>
void matrix_gradient(const Block<Real>& block, index_t d, const Matrix<Real>& matrix, int tasks, int task,
                     Watch& watch) {
  if (matrix.is_packed()) {
    packed_product(block, d, matrix, task, watch);
  } else {
    product_in_place(block, d, matrix, plan::part_of(block.gate_columns(), tasks, task), watch);
  }
}

template <class Real>
void run_task(const Block<Real>& block, const Tasks<Real>& tasks, index_t d, int task, Watch& watch) {
  if (task < tasks.of_input_weights) {
    matrix_gradient(block, d, block.input(d), tasks.of_input_weights, task, watch);
    return;
  }
  task -= tasks.of_input_weights;
  if (task < tasks.of_hidden_weights) {
    matrix_gradient(block, d, block.hidden(d), tasks.of_hidden_weights, task, watch);
    return;
  }
  task -= tasks.of_hidden_weights;
  if (task >= tasks.of_biases) {
    const Span units = plan::part_of(block.plan.problem().cell_size, tasks.of_peepholes, task - tasks.of_biases);
    peephole_gradient(block.plan, block.direction(d), units, block.layer.accumulate, watch);
    return;
  }
  bias_gradient(block, d, plan::part_of(block.gate_columns(), tasks.of_biases, task));
}

}  // namespace

template <class Real>
bool gradient_products(const BackwardPlan& plan, const LayerProducts<Real>& layer, const Team& team, Barrier& barrier,
                       Watch& watch, TaskCounter* counters) {
  const index_t total = plan.forward.rows.total();
  const index_t size = plan.product_rows();
  const index_t widest = std::max(layer.input_size, plan.problem().output_size);
  for (index_t k = 0; k < plan.product_blocks(); ++k) {
    const Block<Real> block{plan, layer, {k * size, std::min((k + 1) * size, total)}};
    if (k > 0 && !barrier.wait(team.size, watch)) return false;  // until nobody reads the last block's packed rows
    pack_block(block, team, watch);
    if (!barrier.wait(team.size, watch)) return false;
    const Tasks<Real> tasks(block);
    const index_t end = tasks.of_input_gradient + plan.problem().num_directions * tasks.of_direction();
    for (index_t task = counters[k].take(); task < end; task = counters[k].take()) {
      if (watch.stops(rows_per_task * block.rows.size() * widest)) return false;
      if (task < tasks.of_input_gradient) {
        input_gradient(block, task, watch);
      } else {
        const index_t of_weights = task - tasks.of_input_gradient;
        run_task(block, tasks, of_weights / tasks.of_direction(), static_cast<int>(of_weights % tasks.of_direction()),
                 watch);
      }
    }
  }
  return true;
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                           \
  template bool gradient_products<Real>(const BackwardPlan&, const LayerProducts<Real>&, const Team&, Barrier&, \
                                        Watch&, TaskCounter*);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::driver
