// bindings: the calls that compute gradients.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/computation.hpp"
#include "bindings/register.hpp"
#include "bindings/weights.hpp"
#include "blas/blas.hpp"
#include "driver/stack_backward.hpp"
#include "plan/tape.hpp"

namespace lstm_native::bindings {
namespace {

using Optional = std::optional<py::array>;

struct BackwardArrays {
  py::array input, hidden_initial, cell_initial;
  std::vector<WeightArrays> weights;  // none where the steps have been done
  py::array tape;
  Optional output_gradient, hidden_final_gradient, cell_final_gradient;
  Optional input_gradient, hidden_gradient, cell_gradient;
  std::optional<std::vector<WeightArrays>> weight_gradients;
  Optional workspace;
};

template <class Real, class Element>
SequenceView<Element> sequence_view(const plan::Plan& plan, const py::array& array, const char* name, Element* data) {
  const bool packed = plan.problem.packed();
  require_contiguous_rows<Real>(array, name);
  return {data, packed ? 0 : stride_of<Real>(array, 0), stride_of<Real>(array, packed ? 0 : 1), 1};
}

template <class Real>
void require_sequence(const plan::Plan& plan, const py::array& array, index_t width, const char* name) {
  if (plan.problem.packed()) {
    require_array<Real>(array, {plan.rows.total(), width}, name);
  } else {
    require_array<Real>(array, {plan.problem.seq_len, plan.problem.batch, width}, name);
  }
}

template <class Real>
SequenceView<const Real> given_sequence(const plan::Plan& plan, const py::array& array, index_t width,
                                        const char* name) {
  require_sequence<Real>(plan, array, width, name);
  return sequence_view<Real>(plan, array, name, read_only<Real>(array));
}

// A matrix to write to: one of its strides is 1, or it is refused.
template <class Real>
MatrixView<Real> written_matrix(py::array& array, index_t rows, index_t columns, const char* name) {
  auto* data = require_output<Real>(array, {rows, columns}, /*contiguous=*/false, name);
  const MatrixView<const Real> view = matrix_view<Real>(array, rows, columns, name);
  if (!blas::readable(view)) throw std::invalid_argument(std::string(name) + ": must be contiguous");
  return {data, rows, columns, view.row_stride, view.column_stride};
}

template <class Real>
VectorView<Real> written_vector(py::object& object, index_t count, const char* name) {
  if (object.is_none()) return {};
  auto array = py::cast<py::array>(object);
  return {require_output<Real>(array, {count}, /*contiguous=*/true, name), 1};
}

template <class Real>
MatrixView<const Real> blas_matrix(py::array& array, index_t rows, index_t columns, const char* name) {
  const MatrixView<const Real> view = matrix_view<Real>(array, rows, columns, name);
  if (blas::readable(view)) return view;
  array = py::array_t<Real, py::array::c_style | py::array::forcecast>(array);
  return matrix_view<Real>(array, rows, columns, name);
}

template <class Real>
void run_backward(const plan::Problem& problem, BackwardArrays& arrays, bool accumulate, bool has_steps, bool recompute,
                  const rng::DropoutStream& dropout) {
  const plan::Plan plan(problem, storage_of<Real>(arrays.input));
  const index_t states = problem.num_layers * problem.num_directions;
  const index_t units = problem.cell_size;
  const index_t gates = gate_count * units;
  const index_t elements = plan::TapeLayout(problem, plan.rows.total()).elements();
  driver::StackBackward<Real> stack{};
  driver::RecordedForward<Real>& recorded = stack.forward;
  recorded.input = given_sequence<Real>(plan, arrays.input, problem.input_size, "input");
  recorded.tape_form = recompute ? plan::TapeForm::hidden : plan::TapeForm::gates;
  const index_t on_tape = plan::TapeLayout(problem, plan.rows.total(), recorded.tape_form).elements();
  require_array<Real>(arrays.tape, {on_tape}, "reserve");
  require_contiguous_rows<Real>(arrays.tape, "reserve");
  recorded.tape = read_only<Real>(arrays.tape);
  recorded.dropout = dropout;
  const Real* filled_workspace = nullptr;
  if (has_steps) {
    if (!arrays.workspace.has_value()) throw std::invalid_argument("workspace: needed");
    if (!arrays.weight_gradients.has_value()) throw std::invalid_argument("d_weights: needed");
    require_array<Real>(*arrays.workspace, {elements}, "workspace");
    require_contiguous_rows<Real>(*arrays.workspace, "workspace");
    filled_workspace = read_only<Real>(*arrays.workspace);
  } else if (arrays.workspace.has_value()) {
    stack.workspace = require_output<Real>(*arrays.workspace, {elements}, /*contiguous=*/true, "workspace");
  }
  std::vector<driver::CellWeights<Real>> weights;
  std::vector<driver::CellWeights<Real>> forward_weights;
  if (!has_steps) {
    if (static_cast<index_t>(arrays.weights.size()) != states) {
      throw std::invalid_argument("weights: one entry is needed per layer and direction");
    }
    if (recompute) {  // first: a matrix that it copies is one that everyone can read
      forward_weights = plain_weights<Real>(plan, arrays.weights);
      stack.forward_weights = forward_weights.data();
    }
    for (std::size_t k = 0; k < arrays.weights.size(); ++k) {
      driver::CellWeights<Real> cell;
      const index_t columns = problem.layer_input_size(static_cast<index_t>(k) / problem.num_directions);
      cell.input = blas_matrix<Real>(std::get<0>(arrays.weights[k]), gates, columns, "w_ih");
      cell.hidden = matrix_view<Real>(std::get<1>(arrays.weights[k]), gates, units, "w_hh");
      weights.push_back(cell);
    }
    stack.weights = weights.data();
    stack.hidden_initial = state_view<Real>(arrays.hidden_initial, states, problem.batch, units, "h_0");
    stack.cell_initial = state_view<Real>(arrays.cell_initial, states, problem.batch, units, "c_0");
    if (arrays.output_gradient.has_value()) {
      stack.output_gradient =
          given_sequence<Real>(plan, *arrays.output_gradient, problem.layer_output_size(), "d_output");
    }
    if (arrays.hidden_final_gradient.has_value()) {
      stack.hidden_final_gradient =
          state_view<Real>(*arrays.hidden_final_gradient, states, problem.batch, units, "d_h_n");
    }
    if (arrays.cell_final_gradient.has_value()) {
      stack.cell_final_gradient = state_view<Real>(*arrays.cell_final_gradient, states, problem.batch, units, "d_c_n");
    }
    if (arrays.input_gradient.has_value()) {
      py::array& array = *arrays.input_gradient;
      require_sequence<Real>(plan, array, problem.input_size, "d_input");
      stack.input_gradient = sequence_view<Real>(plan, array, "d_input", static_cast<Real*>(array.mutable_data()));
    }
    if (arrays.hidden_gradient.has_value() != arrays.cell_gradient.has_value()) {
      throw std::invalid_argument("d_h_0, d_c_0: both or none");
    }
    if (arrays.hidden_gradient.has_value()) {
      stack.hidden_gradient =
          require_output<Real>(*arrays.hidden_gradient, {states, problem.batch, units}, /*contiguous=*/true, "d_h_0");
      stack.cell_gradient =
          require_output<Real>(*arrays.cell_gradient, {states, problem.batch, units}, /*contiguous=*/true, "d_c_0");
    }
  }
  std::vector<driver::WeightGradients<Real>> gradients;
  if (arrays.weight_gradients.has_value()) {
    if (static_cast<index_t>(arrays.weight_gradients->size()) != states) {
      throw std::invalid_argument("d_weights: one entry is needed per layer and direction");
    }
    for (std::size_t k = 0; k < arrays.weight_gradients->size(); ++k) {
      auto& [w_ih, w_hh, b_ih, b_hh] = (*arrays.weight_gradients)[k];
      const index_t columns = problem.layer_input_size(static_cast<index_t>(k) / problem.num_directions);
      gradients.push_back({written_matrix<Real>(w_ih, gates, columns, "d_w_ih"),
                           written_matrix<Real>(w_hh, gates, units, "d_w_hh"),
                           written_vector<Real>(b_ih, gates, "d_b_ih"), written_vector<Real>(b_hh, gates, "d_b_hh")});
    }
    stack.weight_gradients = {gradients.data(), accumulate};
  }
  without_gil([&](Interruption& interruption) {
    if (has_steps) {
      driver::stack_weight_gradients(plan, recorded, filled_workspace, stack.weight_gradients, interruption);
    } else {
      driver::stack_backward(plan, stack, interruption);
    }
  });
}

void backward(const py::array& input, const py::array& hidden_initial, const py::array& cell_initial,
              const std::vector<WeightArrays>& weights, const py::array& tape, const Optional& output_gradient,
              const Optional& hidden_final_gradient, const Optional& cell_final_gradient,
              const Optional& input_gradient, const Optional& hidden_gradient, const Optional& cell_gradient,
              const std::optional<std::vector<WeightArrays>>& weight_gradients, const Optional& workspace,
              index_t hidden_size, index_t num_layers, bool bidirectional, const std::vector<index_t>& batch_sizes,
              const std::vector<index_t>& lengths, double dropout, std::uint64_t dropout_key,
              std::uint64_t dropout_counter, bool accumulate, bool has_steps, bool recompute, int threads) {
  BackwardArrays arrays{input,          hidden_initial,  cell_initial,          weights,
                        tape,           output_gradient, hidden_final_gradient, cell_final_gradient,
                        input_gradient, hidden_gradient, cell_gradient,         weight_gradients,
                        workspace};
  const bool packed = !batch_sizes.empty();
  if (input.ndim() != (packed ? 2 : 3)) throw std::invalid_argument("input: unexpected number of dimensions");
  plan::Problem problem;
  problem.batch_sizes = batch_sizes;
  problem.lengths = lengths;
  problem.seq_len = packed ? static_cast<index_t>(batch_sizes.size()) : input.shape(0);
  problem.batch = packed ? batch_sizes.front() : input.shape(1);
  problem.input_size = input.shape(packed ? 1 : 2);
  problem.cell_size = problem.output_size = hidden_size;
  problem.num_layers = num_layers;
  problem.num_directions = bidirectional ? 2 : 1;
  problem.dropout = dropout;
  problem.threads = threads;
  const rng::DropoutStream stream{dropout, dropout_key, dropout_counter};
  if (py::isinstance<py::array_t<float>>(input)) {
    run_backward<float>(problem, arrays, accumulate, has_steps, recompute, stream);
  } else if (py::isinstance<py::array_t<double>>(input)) {
    run_backward<double>(problem, arrays, accumulate, has_steps, recompute, stream);
  } else {
    throw std::invalid_argument("input: unexpected dtype");
  }
}

}  // namespace

void register_backward(py::module_& module) {
  using namespace py::literals;
  module.def("backward", &backward, "input"_a, "hidden_initial"_a, "cell_initial"_a, "weights"_a, "tape"_a,
             "output_gradient"_a, "hidden_final_gradient"_a, "cell_final_gradient"_a, "input_gradient"_a,
             "hidden_gradient"_a, "cell_gradient"_a, "weight_gradients"_a, "workspace"_a, py::kw_only(),
             "hidden_size"_a, "num_layers"_a, "bidirectional"_a, "batch_sizes"_a, "lengths"_a, "dropout"_a,
             "dropout_key"_a, "dropout_counter"_a, "accumulate"_a, "has_steps"_a, "recompute"_a, "threads"_a,
             "Computes the gradients that have an array to go to, from a tape that forward() filled.");
}

}  // namespace lstm_native::bindings
