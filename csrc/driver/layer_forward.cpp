#include "driver/layer_forward.hpp"

#include <algorithm>
#include <climits>

#include "blas/blas.hpp"
#include "common/parallel.hpp"

namespace lstm_native::driver {
namespace {

using plan::Plan;
using plan::Span;

template <class Real>
void add_biases(const DirectionForward<Real>& direction, index_t count) {
  const VectorView<const Real>& a = direction.weights->input_bias;
  const VectorView<const Real>& b = direction.weights->recurrent_bias;
  for (index_t k = 0; k < count; ++k) {
    direction.bias[k] =
        (a.data != nullptr ? a.data[k * a.stride] : Real{0}) + (b.data != nullptr ? b.data[k * b.stride] : Real{0});
  }
}

// Copies time-major rows of a scattered sequence side by side.
template <class Real>
void gather(const Plan& plan, const SequenceView<const Real>& input, index_t width, Span rows, Real* to) {
  index_t step = plan.rows.step_of(rows.begin);
  index_t row = rows.begin - plan.rows.offset(step);
  for (index_t k = 0; k < rows.size(); ++k, ++row, to += width) {
    while (row == plan.rows.count(step)) {
      row = 0;
      ++step;
    }
    const Real* from = plan.rows.locate(input, step, row);
    for (index_t feature = 0; feature < width; ++feature) to[feature] = from[feature * input.feature_stride];
  }
}

template <class Real>
MatrixView<const Real> rows_of(MatrixView<const Real> matrix, Span rows) {
  matrix.data += rows.begin * matrix.row_stride;
  matrix.rows = rows.size();
  return matrix;
}

// gates = input * W_ih^T, for all steps and directions.
template <class Real>
void project_input(const Plan& plan, const LayerForward<Real>& layer) {
  const index_t width = plan.problem.layer_input_size(layer.layer);
  const index_t gates_width = gate_count * plan.problem.cell_size;
  const index_t columns = plan.projection_columns.count();
  const index_t per_direction = plan.projection_rows.count() * columns;
  parallel_for(plan.problem.num_directions * per_direction, plan.projection_threads(layer.layer),
               [&](index_t item, int thread) noexcept {
                 const DirectionForward<Real>& direction = layer.directions[item / per_direction];
                 const Span rows = plan.projection_rows[item % per_direction / columns];
                 const Span outputs = plan.projection_columns[item % columns];
                 const Real* input = layer.input.data;
                 index_t stride = width;
                 if (layer.gathered_input != nullptr) {
                   Real* gathered = layer.gathered_input + thread * layer.gathered_input_stride;
                   gather(plan, layer.input, width, rows, gathered);
                   input = gathered;
                 } else {
                   stride = plan.rows.even_stride(layer.input);
                   input += rows.begin * stride;
                 }
                 blas::multiply_transposed(rows.size(), input, stride, rows_of(direction.weights->input, outputs),
                                           direction.gates + rows.begin * gates_width + outputs.begin, gates_width,
                                           /*accumulate=*/false);
               });
}

// One direction's walk through the steps, for some rows of the batch.
template <class Real>
void recur(const Plan& plan, const DirectionForward<Real>& direction, bool keep_gates, Span rows) {
  const index_t units = plan.problem.cell_size;
  const index_t outputs = plan.problem.output_size;
  const index_t gates_width = gate_count * units;
  Real* hidden = direction.hidden + rows.begin * outputs;
  for (index_t k = 0; k < plan.problem.seq_len; ++k) {
    const index_t step = direction.reverse ? plan.problem.seq_len - 1 - k : k;
    const index_t active = std::min(plan.rows.count(step), rows.end) - rows.begin;
    if (active <= 0) continue;
    const index_t stored = plan.rows.offset(step) + rows.begin;
    Real* gates = direction.gates + stored * gates_width;
    blas::multiply_transposed(active, hidden, outputs, direction.weights->recurrent, gates, gates_width,
                              /*accumulate=*/true);
    kernels::GatesForward<Real> arguments;
    arguments.rows = active;
    arguments.units = units;
    arguments.gates = gates;
    arguments.bias = direction.bias;
    arguments.cell = direction.cell + rows.begin * units;
    arguments.hidden = hidden;
    arguments.output = plan.rows.locate(direction.output, step, rows.begin);
    arguments.output_stride = direction.output.row_stride;
    arguments.cell_tape = direction.cell_tape != nullptr ? direction.cell_tape + stored * units : nullptr;
    arguments.keep_gates = keep_gates;
    plan::kernels_of<Real>(plan).gates_forward(arguments);
  }
}

}  // namespace

template <class Real>
bool projects_in_place(const Plan& plan, const SequenceView<const Real>& input) {
  const index_t stride = plan.rows.even_stride(input);
  const bool contiguous_rows = input.feature_stride == 1 || plan.problem.input_size == 1;
  const bool evenly_spaced = stride >= plan.problem.input_size && stride <= INT_MAX;
  return contiguous_rows && (evenly_spaced || plan.rows.total() <= 1);
}

template <class Real>
void layer_forward(const Plan& plan, const LayerForward<Real>& layer) {
  for (index_t d = 0; d < plan.problem.num_directions; ++d) {
    add_biases(layer.directions[d], gate_count * plan.problem.cell_size);
  }
  project_input(plan, layer);
  const index_t blocks = plan.recurrence_rows.count();
  parallel_for(plan.problem.num_directions * blocks, plan.recurrence_threads(), [&](index_t item, int) noexcept {
    recur(plan, layer.directions[item / blocks], layer.keep_gates, plan.recurrence_rows[item % blocks]);
  });
}

template bool projects_in_place<float>(const Plan&, const SequenceView<const float>&);
template bool projects_in_place<double>(const Plan&, const SequenceView<const double>&);
template void layer_forward<float>(const Plan&, const LayerForward<float>&);
template void layer_forward<double>(const Plan&, const LayerForward<double>&);

}  // namespace lstm_native::driver
