// bindings: the calls that compute.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/computation.hpp"
#include "bindings/register.hpp"
#include "bindings/weights.hpp"
#include "driver/stack_forward.hpp"
#include "plan/plan.hpp"
#include "plan/tape.hpp"

namespace lstm_native::bindings {
namespace {

using plan::Plan;
using plan::Problem;

struct ForwardArrays {
  py::array input, hidden_initial, cell_initial;
  py::object weights;  // PackedWeights, or a sequence of WeightArrays
  py::array output, hidden_final, cell_final;
  std::optional<py::array> tape;
  plan::TapeForm tape_form;
};

// Which rows take part in which steps: at most one of the two is not empty.
struct Raggedness {
  std::vector<index_t> batch_sizes;
  std::vector<index_t> lengths;
};

struct Threads {
  int count;
  std::optional<std::array<int, 3>> split;  // groups of directions, rows, units
};

plan::TapeForm form_of(bool recompute) { return recompute ? plan::TapeForm::hidden : plan::TapeForm::gates; }

Problem problem_of(const ForwardArrays& arrays, index_t cells, bool bidirectional, const Raggedness& ragged,
                   double dropout, const Threads& threads) {
  const bool packed = !ragged.batch_sizes.empty();
  if (arrays.input.ndim() != (packed ? 2 : 3)) throw std::invalid_argument("input: unexpected number of dimensions");
  if (arrays.hidden_initial.ndim() != 3 || arrays.cell_initial.ndim() != 3) {
    throw std::invalid_argument("initial states: unexpected number of dimensions");
  }
  Problem problem;
  problem.batch_sizes = ragged.batch_sizes;
  problem.lengths = ragged.lengths;
  problem.seq_len = packed ? static_cast<index_t>(ragged.batch_sizes.size()) : arrays.input.shape(0);
  problem.batch = packed ? ragged.batch_sizes.front() : arrays.input.shape(1);
  problem.input_size = arrays.input.shape(packed ? 1 : 2);
  problem.output_size = arrays.hidden_initial.shape(2);
  problem.cell_size = arrays.cell_initial.shape(2);
  problem.num_directions = bidirectional ? 2 : 1;
  problem.num_layers = cells / problem.num_directions;
  problem.dropout = dropout;
  problem.threads = threads.count;
  if (threads.split.has_value()) {
    const auto& [directions, rows, units] = *threads.split;
    problem.forced_split = {directions, rows, units};
  }
  if (problem.num_layers * problem.num_directions != cells) {
    throw std::invalid_argument("weights: one entry is needed per layer and direction");
  }
  return problem;
}

template <class Real>
SequenceView<const Real> input_view(const Plan& plan, const ForwardArrays& arrays) {
  const Problem& problem = plan.problem;
  const py::array& input = arrays.input;
  if (problem.packed()) {
    require_array<Real>(input, {plan.rows.total(), problem.input_size}, "input");
    require_contiguous_rows<Real>(input, "input");
    return {read_only<Real>(input), 0, stride_of<Real>(input, 0), 1};
  }
  require_array<Real>(input, {problem.seq_len, problem.batch, problem.input_size}, "input");
  require_contiguous_rows<Real>(input, "input");
  return {read_only<Real>(input), stride_of<Real>(input, 0), stride_of<Real>(input, 1), 1};
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
  require_contiguous_rows<Real>(output, "output");
  return {data, stride_of<Real>(output, 0), stride_of<Real>(output, 1), 1};
}

template <class Real>
driver::StackForward<Real> stack_of(const Plan& plan, ForwardArrays& arrays, const rng::DropoutStream& dropout) {
  const Problem& problem = plan.problem;
  const index_t states = problem.num_layers * problem.num_directions;
  driver::StackForward<Real> stack{};
  stack.input = input_view<Real>(plan, arrays);
  stack.hidden_initial = state_view<Real>(arrays.hidden_initial, states, problem.batch, problem.output_size, "h_0");
  stack.cell_initial = state_view<Real>(arrays.cell_initial, states, problem.batch, problem.cell_size, "c_0");
  stack.output = output_view<Real>(plan, arrays);
  stack.hidden_final = require_output<Real>(arrays.hidden_final, {states, problem.batch, problem.output_size},
                                            /*contiguous=*/true, "h_n");
  stack.cell_final =
      require_output<Real>(arrays.cell_final, {states, problem.batch, problem.cell_size}, /*contiguous=*/true, "c_n");
  if (arrays.tape.has_value()) {
    stack.tape_form = arrays.tape_form;
    const index_t elements = plan::TapeLayout(problem, plan.rows.total(), arrays.tape_form).elements();
    stack.tape = require_output<Real>(*arrays.tape, {elements}, /*contiguous=*/true, "reserve");
  }
  stack.dropout = dropout;
  return stack;
}

template <class Real>
void run_plain(const Problem& problem, ForwardArrays& arrays, std::vector<WeightArrays>& weight_arrays,
               const rng::DropoutStream& dropout) {
  const Plan plan(problem, storage_of<Real>(arrays.input));
  driver::StackForward<Real> stack = stack_of<Real>(plan, arrays, dropout);
  const std::vector<driver::CellWeights<Real>> weights = plain_weights<Real>(plan, weight_arrays);
  stack.weights = weights.data();
  without_gil([&](Interruption& interruption) { driver::stack_forward(plan, stack, interruption); });
}

template <class Real>
void run_packed(const Problem& problem, ForwardArrays& arrays, const PackedWeights& packed,
                const rng::DropoutStream& dropout) {
  if (packed.dtype() != dtype_of<Real>) throw std::invalid_argument("input: not of the packed weights' dtype");
  const WeightSizes& sizes = packed.sizes();
  if (sizes.input_size != problem.input_size || sizes.hidden_size != problem.cell_size) {
    throw std::invalid_argument("input, states: not of the packed weights' sizes");
  }
  const Plan plan(problem, {dtype_of<Real>, packed.weight_dtype(), /*packed_weights=*/true});
  driver::StackForward<Real> stack = stack_of<Real>(plan, arrays, dropout);
  stack.weights = packed.cells<Real>().data();
  stack.backwards = packed.begin_backwards();
  without_gil([&](Interruption& interruption) { driver::stack_forward(plan, stack, interruption); });
}

void forward(const py::array& input, const py::array& hidden_initial, const py::array& cell_initial,
             const py::object& weights, const py::array& output, const py::array& hidden_final,
             const py::array& cell_final, bool bidirectional, const std::vector<index_t>& batch_sizes,
             const std::vector<index_t>& lengths, double dropout, std::uint64_t dropout_key,
             std::uint64_t dropout_counter, const std::optional<py::array>& tape, int threads,
             const std::optional<std::array<int, 3>>& split, bool recompute) {
  ForwardArrays arrays{input,        hidden_initial, cell_initial, weights,           output,
                       hidden_final, cell_final,     tape,         form_of(recompute)};
  const rng::DropoutStream stream{dropout, dropout_key, dropout_counter};
  const Raggedness ragged{batch_sizes, lengths};
  const bool is_float = py::isinstance<py::array_t<float>>(input);
  if (!is_float && !py::isinstance<py::array_t<double>>(input)) throw std::invalid_argument("input: unexpected dtype");
  if (py::isinstance<PackedWeights>(weights)) {
    const auto& packed = py::cast<const PackedWeights&>(weights);
    const WeightSizes& sizes = packed.sizes();
    if (bidirectional != (sizes.num_directions == 2)) throw std::invalid_argument("bidirectional: the weights are not");
    const Problem problem =
        problem_of(arrays, sizes.num_layers * sizes.num_directions, bidirectional, ragged, dropout, {threads, split});
    is_float ? run_packed<float>(problem, arrays, packed, stream) : run_packed<double>(problem, arrays, packed, stream);
    return;
  }
  auto plain = py::cast<std::vector<WeightArrays>>(weights);
  const Problem problem =
      problem_of(arrays, static_cast<index_t>(plain.size()), bidirectional, ragged, dropout, {threads, split});
  is_float ? run_plain<float>(problem, arrays, plain, stream) : run_plain<double>(problem, arrays, plain, stream);
}

index_t tape_elements(index_t seq_len, index_t batch, index_t input_size, index_t hidden_size, index_t num_layers,
                      bool bidirectional, const std::vector<index_t>& batch_sizes, const std::vector<index_t>& lengths,
                      bool recompute) {
  Problem problem;
  problem.batch_sizes = batch_sizes;
  problem.lengths = lengths;
  problem.seq_len = seq_len;
  problem.batch = batch;
  problem.input_size = input_size;
  problem.cell_size = hidden_size;
  problem.output_size = hidden_size;
  problem.num_layers = num_layers;
  problem.num_directions = bidirectional ? 2 : 1;
  check(problem);
  return plan::TapeLayout(problem, plan::ActiveRows(problem, /*steps_listed=*/false).total(), form_of(recompute))
      .elements();
}

}  // namespace

void register_run(py::module_& module) {
  using namespace py::literals;
  module.def("forward", &forward, "input"_a, "hidden_initial"_a, "cell_initial"_a, "weights"_a, "output"_a,
             "hidden_final"_a, "cell_final"_a, py::kw_only(), "bidirectional"_a, "batch_sizes"_a, "lengths"_a,
             "dropout"_a, "dropout_key"_a, "dropout_counter"_a, "tape"_a, "threads"_a, "split"_a = py::none(),
             "recompute"_a = false,
             "Runs a whole stack into the given arrays. input is time-major; packed where batch_sizes is not empty.");
  module.def("tape_elements", &tape_elements, "seq_len"_a, "batch"_a, "input_size"_a, "hidden_size"_a, "num_layers"_a,
             "bidirectional"_a, "batch_sizes"_a = std::vector<index_t>{}, "lengths"_a = std::vector<index_t>{},
             "recompute"_a = false, "Elements of the tape that forward() fills.");
}

}  // namespace lstm_native::bindings
