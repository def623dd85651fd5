// bindings: the calls that compute.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/register.hpp"
#include "blas/blas.hpp"
#include "driver/stack_forward.hpp"
#include "plan/plan.hpp"
#include "plan/tape.hpp"

namespace lstm_native::bindings {
namespace {

using plan::Plan;
using plan::Problem;

// w_ih, w_hh, b_ih or None, b_hh or None
using WeightArrays = std::tuple<py::array, py::array, py::object, py::object>;

struct ForwardArrays {
  py::array input, hidden_initial, cell_initial;
  std::vector<WeightArrays> weights;
  py::array output, hidden_final, cell_final;
  std::optional<py::array> tape;
};

Problem problem_of(const ForwardArrays& arrays, bool bidirectional, const std::vector<index_t>& batch_sizes,
                   double dropout, int threads) {
  const bool packed = !batch_sizes.empty();
  if (arrays.input.ndim() != (packed ? 2 : 3)) throw std::invalid_argument("input: unexpected number of dimensions");
  if (arrays.hidden_initial.ndim() != 3 || arrays.cell_initial.ndim() != 3) {
    throw std::invalid_argument("initial states: unexpected number of dimensions");
  }
  Problem problem;
  problem.batch_sizes = batch_sizes;
  problem.seq_len = packed ? static_cast<index_t>(batch_sizes.size()) : arrays.input.shape(0);
  problem.batch = packed ? batch_sizes.front() : arrays.input.shape(1);
  problem.input_size = arrays.input.shape(packed ? 1 : 2);
  problem.output_size = arrays.hidden_initial.shape(2);
  problem.cell_size = arrays.cell_initial.shape(2);
  problem.num_directions = bidirectional ? 2 : 1;
  problem.num_layers = static_cast<index_t>(arrays.weights.size()) / problem.num_directions;
  problem.dropout = dropout;
  problem.threads = threads;
  if (problem.num_layers * problem.num_directions != static_cast<index_t>(arrays.weights.size())) {
    throw std::invalid_argument("weights: one entry is needed per layer and direction");
  }
  return problem;
}

// A matrix that BLAS can't read where it lies is copied, into its own place in `array`, for the time of the call.
template <class Real>
MatrixView<const Real> readable_matrix(py::array& array, index_t rows, index_t columns, const char* name) {
  MatrixView<const Real> view = matrix_view<Real>(array, rows, columns, name);
  if (blas::readable(view)) return view;
  array = py::array_t<Real, py::array::c_style | py::array::forcecast>(array);  // throws where memory is short
  view = matrix_view<Real>(array, rows, columns, name);
  if (!blas::readable(view)) throw std::invalid_argument(std::string(name) + ": larger than BLAS can address");
  return view;
}

template <class Real>
std::vector<driver::DirectionWeights<Real>> weights_of(const Problem& problem, ForwardArrays& arrays) {
  std::vector<driver::DirectionWeights<Real>> weights;
  weights.reserve(arrays.weights.size());
  const index_t width = gate_count * problem.cell_size;
  for (std::size_t k = 0; k < arrays.weights.size(); ++k) {
    auto& [w_ih, w_hh, b_ih, b_hh] = arrays.weights[k];
    const index_t layer = static_cast<index_t>(k) / problem.num_directions;
    weights.push_back({readable_matrix<Real>(w_ih, width, problem.layer_input_size(layer), "w_ih"),
                       readable_matrix<Real>(w_hh, width, problem.output_size, "w_hh"),
                       optional_vector_view<Real>(b_ih, width, "b_ih"),
                       optional_vector_view<Real>(b_hh, width, "b_hh")});
  }
  return weights;
}

template <class Real>
SequenceView<const Real> input_view(const Plan& plan, const ForwardArrays& arrays) {
  const Problem& problem = plan.problem;
  const py::array& input = arrays.input;
  if (problem.packed()) {
    require_array<Real>(input, {plan.rows.total(), problem.input_size}, "input");
    return {read_only<Real>(input), 0, stride_of<Real>(input, 0), stride_of<Real>(input, 1)};
  }
  require_array<Real>(input, {problem.seq_len, problem.batch, problem.input_size}, "input");
  return {read_only<Real>(input), stride_of<Real>(input, 0), stride_of<Real>(input, 1), stride_of<Real>(input, 2)};
}

template <class Real>
SequenceView<Real> output_view(const Plan& plan, ForwardArrays& arrays) {
  const Problem& problem = plan.problem;
  py::array& output = arrays.output;
  const index_t width = problem.layer_output_size();
  if (problem.packed()) {
    Real* data = require_output<Real>(output, {plan.rows.total(), width}, /*contiguous=*/true, "output");
    return {data, 0, width, 1};
  }
  // Batch-first output is a transposed view, so only its features need be contiguous.
  Real* data = require_output<Real>(output, {problem.seq_len, problem.batch, width}, /*contiguous=*/false, "output");
  if (output.size() > 0 && width > 1 && stride_of<Real>(output, 2) != 1)
    throw std::invalid_argument("output: features must be contiguous");
  return {data, stride_of<Real>(output, 0), stride_of<Real>(output, 1), 1};
}

template <class Real>
void run_forward(const Plan& plan, ForwardArrays& arrays, const rng::DropoutStream& dropout) {
  const Problem& problem = plan.problem;
  const std::vector<driver::DirectionWeights<Real>> weights = weights_of<Real>(problem, arrays);
  const index_t states = problem.num_layers * problem.num_directions;
  driver::StackForward<Real> stack;
  stack.input = input_view<Real>(plan, arrays);
  stack.hidden_initial = state_view<Real>(arrays.hidden_initial, states, problem.batch, problem.output_size, "h_0");
  stack.cell_initial = state_view<Real>(arrays.cell_initial, states, problem.batch, problem.cell_size, "c_0");
  stack.weights = weights.data();
  stack.output = output_view<Real>(plan, arrays);
  stack.hidden_final = require_output<Real>(arrays.hidden_final, {states, problem.batch, problem.output_size},
                                            /*contiguous=*/true, "h_n");
  stack.cell_final =
      require_output<Real>(arrays.cell_final, {states, problem.batch, problem.cell_size}, /*contiguous=*/true, "c_n");
  stack.tape = nullptr;
  if (arrays.tape.has_value()) {
    const index_t elements = plan::TapeLayout(problem, plan.rows.total()).elements();
    stack.tape = require_output<Real>(*arrays.tape, {elements}, /*contiguous=*/true, "reserve");
  }
  stack.dropout = dropout;
  const py::gil_scoped_release release;
  driver::stack_forward(plan, stack);
}

void forward(const py::array& input, const py::array& hidden_initial, const py::array& cell_initial,
             const std::vector<WeightArrays>& weights, const py::array& output, const py::array& hidden_final,
             const py::array& cell_final, bool bidirectional, const std::vector<index_t>& batch_sizes, double dropout,
             std::uint64_t dropout_key, std::uint64_t dropout_counter, const std::optional<py::array>& tape,
             int threads) {
  ForwardArrays arrays{input, hidden_initial, cell_initial, weights, output, hidden_final, cell_final, tape};
  const Plan plan(problem_of(arrays, bidirectional, batch_sizes, dropout, threads));
  const rng::DropoutStream stream{dropout, dropout_key, dropout_counter};
  if (py::isinstance<py::array_t<float>>(input)) {
    run_forward<float>(plan, arrays, stream);
  } else if (py::isinstance<py::array_t<double>>(input)) {
    run_forward<double>(plan, arrays, stream);
  } else {
    throw std::invalid_argument("input: unexpected dtype");
  }
}

index_t tape_elements(index_t seq_len, index_t batch, index_t input_size, index_t hidden_size, index_t num_layers,
                      bool bidirectional) {
  Problem problem;
  problem.seq_len = seq_len;
  problem.batch = batch;
  problem.input_size = input_size;
  problem.cell_size = hidden_size;
  problem.output_size = hidden_size;
  problem.num_layers = num_layers;
  problem.num_directions = bidirectional ? 2 : 1;
  check(problem);
  return plan::TapeLayout(problem, plan::ActiveRows(problem).total()).elements();
}

}  // namespace

void register_run(py::module_& module) {
  using namespace py::literals;
  module.def("forward", &forward, "input"_a, "hidden_initial"_a, "cell_initial"_a, "weights"_a, "output"_a,
             "hidden_final"_a, "cell_final"_a, py::kw_only(), "bidirectional"_a, "batch_sizes"_a, "dropout"_a,
             "dropout_key"_a, "dropout_counter"_a, "tape"_a, "threads"_a,
             "Runs a whole stack into the given arrays. input is time-major; packed where batch_sizes is not empty.");
  module.def("tape_elements", &tape_elements, "seq_len"_a, "batch"_a, "input_size"_a, "hidden_size"_a, "num_layers"_a,
             "bidirectional"_a, "Elements of the tape that forward() fills.");
}

}  // namespace lstm_native::bindings
