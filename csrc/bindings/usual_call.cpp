// bindings: the quick way in for calls of lstm whose arguments need no conversion, which may take microseconds.
#include <optional>
#include <utility>
#include <vector>

#include "bindings/computation.hpp"
#include "bindings/register.hpp"
#include "bindings/results.hpp"
#include "bindings/weights.hpp"
#include "common/default_threads.hpp"

namespace lstm_native::bindings {
namespace {

struct Given {
  py::handle input;
  py::handle initial_states;
  index_t num_layers;
  bool bidirectional;
  int threads;
};

// The problem of a time-major call with weights of these sizes; nothing where the input is unusual.
std::optional<plan::Problem> problem_of(const Given& given, const WeightSizes& sizes) {
  if (!py::isinstance<py::array>(given.input)) return std::nullopt;
  const auto input = py::reinterpret_borrow<py::array>(given.input);
  if (input.ndim() != 3 || input.size() == 0) return std::nullopt;
  plan::Problem problem;
  problem.threads = given.threads == 0 ? default_threads() : given.threads;
  problem.seq_len = input.shape(0);
  problem.batch = input.shape(1);
  problem.input_size = sizes.input_size;
  problem.cell_size = problem.output_size = sizes.hidden_size;
  problem.num_layers = sizes.num_layers;
  problem.num_directions = sizes.num_directions;
  return problem;
}

template <class Real>
struct Sources {
  const Real* input;
  const Real* hidden;
  const Real* cell;
};

template <class Real>
std::optional<Sources<Real>> sources_of(const Given& given, const plan::Problem& problem) {
  if (!PyTuple_CheckExact(given.initial_states.ptr()) || PyTuple_GET_SIZE(given.initial_states.ptr()) != 2) {
    return std::nullopt;
  }
  const index_t states = problem.num_layers * problem.num_directions;
  const Sources<Real> sources{
      usual_array<Real>(given.input, {problem.seq_len, problem.batch, problem.input_size}),
      usual_array<Real>(PyTuple_GET_ITEM(given.initial_states.ptr(), 0), {states, problem.batch, problem.output_size}),
      usual_array<Real>(PyTuple_GET_ITEM(given.initial_states.ptr(), 1), {states, problem.batch, problem.cell_size})};
  if (sources.input == nullptr || sources.hidden == nullptr || sources.cell == nullptr) return std::nullopt;
  return sources;
}

// packed: null where the weights are plain, and `cells` theirs.
template <class Real>
py::object run(const plan::Problem& problem, const Sources<Real>& from, const PackedWeights* packed,
               const std::vector<driver::CellWeights<Real>>& cells) {
  const bool is_packed = packed != nullptr;
  const plan::Plan plan(problem, {dtype_of<Real>, is_packed ? packed->weight_dtype() : plan::WeightDtype::native,
                                  is_packed, problem.batch * problem.input_size, problem.input_size});
  const index_t width = problem.layer_output_size();
  const index_t states = problem.num_layers * problem.num_directions;
  auto output = new_array_of<Real>({problem.seq_len, problem.batch, width});
  auto h_n = new_array_of<Real>({states, problem.batch, problem.output_size});
  auto c_n = new_array_of<Real>({states, problem.batch, problem.cell_size});
  driver::StackForward<Real> stack{};
  stack.input = {from.input, problem.batch * problem.input_size, problem.input_size, 1};
  stack.hidden_initial = {from.hidden, problem.batch * problem.output_size, problem.output_size, 1};
  stack.cell_initial = {from.cell, problem.batch * problem.cell_size, problem.cell_size, 1};
  stack.weights = cells.data();
  stack.output = {output.mutable_data(), problem.batch * width, width, 1};
  stack.hidden_final = h_n.mutable_data();
  stack.cell_final = c_n.mutable_data();
  stack.backwards = is_packed && packed->begin_backwards();
  without_gil([&](Interruption& interruption) { driver::stack_forward(plan, stack, interruption); });
  return py::make_tuple(std::move(output), std::move(h_n), std::move(c_n));
}

template <class Real>
py::object run_packed(const PackedWeights& packed, const Given& given) {
  const auto problem = problem_of(given, packed.sizes());
  if (!problem.has_value()) return py::none();
  const auto from = sources_of<Real>(given, *problem);
  return from.has_value() ? run<Real>(*problem, *from, &packed, packed.cells<Real>()) : py::none();
}

// Plain weights in C order, which every path reads where they lie; nothing where some are not.
template <class Real>
std::optional<std::vector<driver::CellWeights<Real>>> cells_of(const py::tuple& arrays, const plan::Problem& problem) {
  const index_t rows = gate_count * problem.cell_size;
  std::vector<driver::CellWeights<Real>> cells(static_cast<std::size_t>(problem.num_layers * problem.num_directions));
  for (std::size_t k = 0; k < cells.size(); ++k) {
    const index_t columns = problem.layer_input_size(static_cast<index_t>(k) / problem.num_directions);
    driver::CellWeights<Real>& cell = cells[k];
    cell.input = {usual_array<Real>(arrays[4 * k], {rows, columns}), rows, columns, columns, 1};
    cell.hidden = {usual_array<Real>(arrays[4 * k + 1], {rows, problem.output_size}), rows, problem.output_size,
                   problem.output_size, 1};
    cell.input_bias = {usual_array<Real>(arrays[4 * k + 2], {rows}), 1};
    cell.hidden_bias = {usual_array<Real>(arrays[4 * k + 3], {rows}), 1};
    for (const Real* data : {cell.input.data, cell.hidden.data, cell.input_bias.data, cell.hidden_bias.data}) {
      if (data == nullptr) return std::nullopt;
    }
  }
  return cells;
}

template <class Real>
py::object run_plain(const py::tuple& arrays, const WeightSizes& sizes, const Given& given) {
  const auto problem = problem_of(given, sizes);
  if (!problem.has_value()) return py::none();
  const auto from = sources_of<Real>(given, *problem);
  if (!from.has_value()) return py::none();
  const auto cells = cells_of<Real>(arrays, *problem);
  return cells.has_value() ? run<Real>(*problem, *from, nullptr, *cells) : py::none();
}

py::object run_plain(const py::tuple& arrays, const Given& given) {
  const index_t directions = given.bidirectional ? 2 : 1;
  const auto count = static_cast<index_t>(arrays.size());
  if (count == 0 || count % (4 * directions) != 0 || count / (4 * directions) != given.num_layers) return py::none();
  if (!py::isinstance<py::array>(arrays[0]) || !py::isinstance<py::array>(arrays[1])) return py::none();
  const auto w_ih = py::reinterpret_borrow<py::array>(arrays[0]);
  const auto w_hh = py::reinterpret_borrow<py::array>(arrays[1]);
  if (w_ih.ndim() != 2 || w_hh.ndim() != 2 || w_ih.size() == 0 || w_hh.size() == 0) return py::none();
  const WeightSizes sizes{w_ih.shape(1), w_hh.shape(1), given.num_layers, directions};
  if (py::isinstance<py::array_t<float>>(w_ih)) return run_plain<float>(arrays, sizes, given);
  if (py::isinstance<py::array_t<double>>(w_ih)) return run_plain<double>(arrays, sizes, given);
  return py::none();
}

py::object run_if_usual(py::handle input, py::handle initial_states, py::handle weights, py::handle num_layers,
                        bool bidirectional, int threads) {
  constexpr long long most_layers = 65536;  // as the Python layer says
  const long long layers = PyLong_AsLongLong(num_layers.ptr());
  if (layers == -1 && PyErr_Occurred() != nullptr) PyErr_Clear();
  if (layers < 1 || layers > most_layers) return py::none();
  const Given given{input, initial_states, layers, bidirectional, threads};
  if (py::isinstance<PackedWeights>(weights)) {
    const auto& packed = py::cast<const PackedWeights&>(weights);
    if (packed.sizes().num_layers != layers || (packed.sizes().num_directions == 2) != bidirectional) {
      return py::none();
    }
    return packed.dtype() == Dtype::float32 ? run_packed<float>(packed, given) : run_packed<double>(packed, given);
  }
  if (!PyList_CheckExact(weights.ptr()) && !PyTuple_CheckExact(weights.ptr())) return py::none();
  // Holds the arrays, whatever another thread does to a list meanwhile.
  const auto arrays = py::reinterpret_steal<py::tuple>(PySequence_Tuple(weights.ptr()));
  if (!arrays) throw py::error_already_set();
  return run_plain(arrays, given);
}

}  // namespace

void register_usual_call(py::module_& module) {
  using namespace py::literals;
  module.def("run_if_usual", &run_if_usual, "input"_a, "initial_states"_a, "weights"_a, "num_layers"_a,
             "bidirectional"_a, "threads"_a,
             "output, h_n, c_n of a time-major call with both biases whose arguments need no conversion; None for any "
             "other. threads 0: the default.");
}

}  // namespace lstm_native::bindings
