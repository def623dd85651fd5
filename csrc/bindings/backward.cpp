// bindings: the calls that compute gradients.
#include <pybind11/numpy.h>

#include <optional>
#include <stdexcept>
#include <vector>

#include "bindings/call.hpp"
#include "bindings/computation.hpp"
#include "bindings/fast_path.hpp"
#include "bindings/register.hpp"
#include "bindings/results.hpp"
#include "bindings/weights.hpp"
#include "blas/blas.hpp"
#include "driver/stack_backward.hpp"
#include "plan/tape.hpp"

namespace lstm_native::bindings {
namespace {

// A `_backward.GradientNeeds`.
struct GradientNeeds {
  bool input, states;
  py::object weights;  // None; a list of CellWeights to write to; True: new arrays
  bool transposed;     // new arrays of matrices hold the transpose
  py::object workspace;
};

GradientNeeds gradient_needs(py::handle wanted) {
  static const Field input("input"), states("states"), weights("weights"), transposed("transposed"),
      workspace("workspace");
  return {input.of<bool>(wanted), states.of<bool>(wanted), weights.of(wanted), transposed.of<bool>(wanted),
          workspace.of(wanted)};
}

// A view of a matrix to write to. Refuses a matrix unless one of its strides is 1.
template <class Real>
MatrixView<Real> written_matrix(py::array array, index_t rows, index_t columns, const char* name) {
  auto* data = require_output<Real>(array, {rows, columns}, /*contiguous=*/false, name);
  const MatrixView<const Real> view = matrix_view<Real>(array, rows, columns, name);
  if (!blas::readable(view)) throw std::invalid_argument(std::string(name) + ": must be contiguous");
  return {data, rows, columns, view.row_stride, view.column_stride};
}

template <class Real>
VectorView<Real> written_vector(const py::object& object, index_t count, const char* name) {
  if (object.is_none()) return {};
  py::array array = array_of(object, name);
  return {require_output<Real>(array, {count}, /*contiguous=*/true, name), 1};
}

template <class Real>
bool by_rows(const MatrixView<Real>& matrix) {
  return matrix.column_stride == 1;
}

// Gradients of each cell's weights, in the caller's arrays or in new ones, which `created` lists.
template <class Real>
class GradientsOfWeights {
 public:
  explicit GradientsOfWeights(const plan::Problem& problem) : problem_(problem) { views.reserve(states()); }

  void place(py::handle listed) {
    const std::vector<CellArrays> cells = cells_of(listed);
    if (cells.size() != states()) throw std::invalid_argument("d_weights: one entry per layer and direction");
    for (const CellArrays& cell : cells) {
      const index_t columns = next_columns();
      driver::WeightGradients<Real> view;
      view.input = written_matrix<Real>(array_of(cell.input, "d_w_ih"), rows_, columns, "d_w_ih");
      view.hidden = written_matrix<Real>(array_of(cell.hidden, "d_w_hh"), rows_, problem_.output_size, "d_w_hh");
      view.input_bias = written_vector<Real>(cell.input_bias, rows_, "d_b_ih");
      view.hidden_bias = written_vector<Real>(cell.hidden_bias, rows_, "d_b_hh");
      view.peephole = written_vector<Real>(cell.peephole, peephole_count * problem_.cell_size, "d_peephole");
      if (cell.peephole.is_none() == problem_.has_peepholes()) {
        throw std::invalid_argument("d_peephole: not as the cell says");
      }
      if (problem_.projects()) {
        view.projection = written_matrix<Real>(array_of(cell.projection, "d_w_hr"), problem_.output_size,
                                               problem_.cell_size, "d_w_hr");
      }
      views.push_back(view);
    }
    for (std::size_t k = 0; k < views.size(); ++k) {  // the products of both directions are cut alike
      const driver::WeightGradients<Real>& first = views[k - k % static_cast<std::size_t>(problem_.num_directions)];
      if (by_rows(views[k].input) != by_rows(first.input) || by_rows(views[k].hidden) != by_rows(first.hidden) ||
          by_rows(views[k].projection) != by_rows(first.projection)) {
        throw std::invalid_argument("d_weights: expected both directions of a layer in the same order");
      }
    }
  }
  // Makes a new array for each weight that is present.
  void create(const std::vector<driver::CellWeights<Real>>& weights, bool transposed) {
    std::vector<py::object> arrays;
    arrays.reserve(6 * weights.size());
    const auto add = [&](std::initializer_list<index_t> shape) {
      auto array = new_array_of<Real>(shape);
      Real* data = array.mutable_data();
      arrays.push_back(std::move(array));
      return data;
    };
    const auto matrix = [&](index_t rows, index_t columns) -> MatrixView<Real> {
      if (transposed) return {add({columns, rows}), rows, columns, 1, rows};
      return {add({rows, columns}), rows, columns, columns, 1};
    };
    const auto vector = [&](bool exists, index_t count) {
      return exists ? VectorView<Real>{add({count}), 1} : VectorView<Real>{};
    };
    for (const driver::CellWeights<Real>& cell : weights) {
      const index_t columns = next_columns();
      driver::WeightGradients<Real> view;
      view.input = matrix(rows_, columns);
      view.hidden = matrix(rows_, problem_.output_size);
      view.input_bias = vector(cell.input_bias.data != nullptr, rows_);
      view.hidden_bias = vector(cell.hidden_bias.data != nullptr, rows_);
      view.peephole = vector(cell.peephole != nullptr, peephole_count * problem_.cell_size);
      if (problem_.projects()) view.projection = matrix(problem_.output_size, problem_.cell_size);
      views.push_back(view);
    }
    py::tuple listed(arrays.size());
    for (std::size_t k = 0; k < arrays.size(); ++k) {
      PyTuple_SET_ITEM(listed.ptr(), static_cast<Py_ssize_t>(k), arrays[k].release().ptr());
    }
    created = std::move(listed);
  }

  std::vector<driver::WeightGradients<Real>> views;
  py::object created = py::none();

 private:
  std::size_t states() const { return static_cast<std::size_t>(problem_.states()); }
  index_t next_columns() const {
    return problem_.layer_input_size(static_cast<index_t>(views.size()) / problem_.num_directions);
  }

  const plan::Problem& problem_;
  index_t rows_ = gate_count * problem_.cell_size;
};

template <class Real>
const Real* tape_of(const plan::Plan& plan, py::handle object, plan::TapeForm form, const char* name) {
  const py::array array = array_of(object, name);
  require_array<Real>(array, {plan::TapeLayout(plan.problem, plan.rows.total(), form).elements(), 1}, name);
  if ((array.flags() & py::array::c_style) == 0) throw std::invalid_argument(std::string(name) + ": not contiguous");
  return read_only<Real>(array);
}

template <class Real>
driver::RecordedForward<Real> recorded(const plan::Plan& plan, const Call& call, py::handle tape) {
  const plan::TapeForm form = call.tape.value_or(plan::TapeForm::gates);
  return {sequence_of<Real>({plan, call.batch_first, plan.problem.input_size}, call.input, "input"),
          tape_of<Real>(plan, tape, form, "reserve"), form, call.about.dropout};
}

// given: an `_backward.OutputGradients`, or a tuple of its items.
template <class Real>
void give_gradients(driver::StackBackward<Real>& stack, const plan::Plan& plan, bool batch_first, py::handle given) {
  if (!PyTuple_Check(given.ptr()) || PyTuple_GET_SIZE(given.ptr()) != 3) throw std::invalid_argument("gradients");
  const plan::Problem& problem = plan.problem;
  const py::handle d_output = PyTuple_GET_ITEM(given.ptr(), 0);
  const py::handle d_h_n = PyTuple_GET_ITEM(given.ptr(), 1);
  const py::handle d_c_n = PyTuple_GET_ITEM(given.ptr(), 2);
  if (!d_output.is_none()) {
    stack.output_gradient =
        sequence_of<Real>({plan, batch_first, problem.layer_output_size()}, array_of(d_output, "d_output"), "d_output");
  }
  if (!d_h_n.is_none()) {
    stack.hidden_final_gradient = states_of<Real>(plan, array_of(d_h_n, "d_h_n"), problem.output_size, "d_h_n");
  }
  if (!d_c_n.is_none()) {
    stack.cell_final_gradient = states_of<Real>(plan, array_of(d_c_n, "d_c_n"), problem.cell_size, "d_c_n");
  }
}

template <class Real>
py::tuple run(Call& call, py::handle tape, py::handle given, const GradientNeeds& wanted, index_t repetitions) {
  if (call.weights.packed != nullptr) throw std::invalid_argument("weights: packed");
  const plan::Plan plan = plan_of(call, dtype_of<Real>);
  const plan::Problem& problem = plan.problem;
  driver::StackBackward<Real> stack{};
  stack.forward = recorded<Real>(plan, call, tape);
  stack.hidden_initial = states_of<Real>(plan, call.hidden_initial, problem.output_size, "h_0");
  stack.cell_initial = states_of<Real>(plan, call.cell_initial, problem.cell_size, "c_0");
  give_gradients(stack, plan, call.batch_first, given);
  // Whatever the tape holds, the products read the arrays that were given: BLAS would round the product of a copy in
  // another order differently. CellViews replaces arrays by their copies.
  std::vector<CellArrays> arrays = call.weights.cells;
  std::vector<driver::CellWeights<Real>> weights = views_of<Real>(problem, arrays);
  std::optional<CellViews<Real>> forward_weights;
  if (stack.forward.tape_form == plan::TapeForm::hidden) {
    forward_weights.emplace(plan, call.weights);
    stack.forward_weights = forward_weights->data();
  }
  for (std::size_t k = 0; k < weights.size(); ++k) {  // a backward pass has no weight paths
    if (blas::readable(weights[k].input)) continue;
    if (forward_weights.has_value() && blas::readable(stack.forward_weights[k].input)) {
      weights[k].input = stack.forward_weights[k].input;  // such a copy has the order that copy_matrix gives
    } else {
      copy_matrix<Real>(arrays[k].input, weights[k].input);
    }
  }
  stack.weights = weights.data();
  if (!wanted.workspace.is_none()) {
    py::array workspace = array_of(wanted.workspace, "workspace");
    const index_t elements = plan::TapeLayout(problem, plan.rows.total()).elements();
    stack.workspace = require_output<Real>(workspace, {elements, 1}, /*contiguous=*/true, "workspace");
  }
  py::object d_input = py::none(), d_h = py::none(), d_c = py::none();
  if (wanted.input) {
    NewSequence<Real> created({plan, call.batch_first, problem.input_size}, "d_input");
    stack.input_gradient = created.view;
    d_input = std::move(created.array);
  }
  if (wanted.states) {
    auto hidden = new_array_of<Real>({problem.states(), problem.batch, problem.output_size});
    auto cell = new_array_of<Real>({problem.states(), problem.batch, problem.cell_size});
    stack.hidden_gradient = hidden.mutable_data();
    stack.cell_gradient = cell.mutable_data();
    d_h = std::move(hidden);
    d_c = std::move(cell);
  }
  GradientsOfWeights<Real> gradients(problem);
  if (wanted.weights.ptr() == Py_True) {
    gradients.create(weights, wanted.transposed);
  } else if (!wanted.weights.is_none()) {
    gradients.place(wanted.weights);
  }
  stack.weight_gradients.cells = gradients.views.empty() ? nullptr : gradients.views.data();
  repeat_without_gil(repetitions,
                     [&](Interruption& interruption) { driver::stack_backward(plan, stack, interruption); });
  return py::make_tuple(std::move(d_input), std::move(d_h), std::move(d_c), std::move(gradients.created));
}

py::tuple backward(py::handle call, py::handle tape, py::handle given, py::handle wanted, index_t repetitions) {
  Call from = call_of(call);
  const GradientNeeds what = gradient_needs(wanted);
  return dtype_of_array(from.input, "input") == Dtype::float32 ? run<float>(from, tape, given, what, repetitions)
                                                               : run<double>(from, tape, given, what, repetitions);
}

template <class Real>
void run_weights(Call& call, py::handle tape, py::handle workspace, py::handle placed, bool accumulate) {
  const plan::Plan plan = plan_of(call, dtype_of<Real>);
  const driver::RecordedForward<Real> forward = recorded<Real>(plan, call, tape);
  const Real* filled = tape_of<Real>(plan, workspace, plan::TapeForm::gates, "workspace");
  GradientsOfWeights<Real> gradients(plan.problem);
  gradients.place(placed);
  without_gil([&](Interruption& interruption) {
    driver::stack_weight_gradients(plan, forward, filled, {gradients.views.data(), accumulate}, interruption);
  });
}

void weight_gradients(py::handle call, py::handle tape, py::handle workspace, py::handle placed, bool accumulate) {
  Call from = call_of(call);
  dtype_of_array(from.input, "input") == Dtype::float32
      ? run_weights<float>(from, tape, workspace, placed, accumulate)
      : run_weights<double>(from, tape, workspace, placed, accumulate);
}

}  // namespace

void register_backward(py::module_& module) {
  using namespace py::literals;
  module.def("backward", &backward, "call"_a, "tape"_a, "given"_a, "wanted"_a, "repetitions"_a = 1,
             "d_input, d_h_0, d_c_0, and new arrays for the weights' gradients; None for each that is not wanted.");
  module.def(
      "backward_if_plain",
      [](py::handle call, py::handle tape, py::handle given, py::handle wanted) {
        return unless_refused([&] { return backward(call, tape, given, wanted, /*repetitions=*/1); });
      },
      "call"_a, "tape"_a, "given"_a, "wanted"_a, "The same; None where an argument needs a conversion, or is wrong.");
  module.def("weight_gradients", &weight_gradients, "call"_a, "tape"_a, "workspace"_a, "gradients"_a, "accumulate"_a,
             "Computes the gradients of the weights from what backward() left in the workspace.");
}

}  // namespace lstm_native::bindings
