#include "bindings/fast_path.hpp"

#include <pybind11/stl.h>

#include "bindings/register.hpp"
#include "bindings/run.hpp"

namespace lstm_native::bindings {
namespace {

[[noreturn]] void refuse(const char* argument) { throw std::invalid_argument(argument); }

// Takes plain arrays, with both biases for each layer and direction.
plan::StackSizes take_plain(Call& call, py::handle weights, index_t num_layers, bool bidirectional) {
  if (!PyList_CheckExact(weights.ptr()) && !PyTuple_CheckExact(weights.ptr())) refuse("weights");
  // The tuple keeps the arrays, even if another thread changes the list meanwhile.
  const auto arrays = py::reinterpret_steal<py::tuple>(PySequence_Tuple(weights.ptr()));
  if (!arrays) throw py::error_already_set();
  const index_t directions = bidirectional ? 2 : 1;
  if (static_cast<index_t>(arrays.size()) != 4 * num_layers * directions) refuse("weights");
  for (std::size_t k = 0; k < arrays.size(); k += 4) {
    if (arrays[k + 2].is_none() || arrays[k + 3].is_none()) refuse("weights");
    call.weights.cells.push_back({arrays[k], arrays[k + 1], arrays[k + 2], arrays[k + 3], py::none()});
  }
  const py::array w_ih = array_of(arrays[0], "w_ih"), w_hh = array_of(arrays[1], "w_hh");
  if (w_ih.ndim() != 2 || w_hh.ndim() != 2) refuse("weights");
  return {w_ih.shape(1), w_hh.shape(1), w_hh.shape(1), num_layers, directions};
}

// form: num_layers, bidirectional, batch_first.
py::object lstm(py::handle input, py::handle states, py::handle weights, const py::tuple& form, py::handle ragged,
                int threads) {
  if (form.size() != 3) refuse("form");
  const index_t num_layers = PyLong_AsSsize_t(PyTuple_GET_ITEM(form.ptr(), 0));
  if (num_layers < 1) refuse("num_layers");
  const bool bidirectional = PyTuple_GET_ITEM(form.ptr(), 1) == Py_True;
  const bool batch_first = PyTuple_GET_ITEM(form.ptr(), 2) == Py_True;
  Call call = call_with(input, states, batch_first);
  const bool packed = py::isinstance<driver::PackedWeights>(weights);
  const plan::StackSizes sizes = packed ? take_packed(call, weights, num_layers, bidirectional)
                                        : take_plain(call, weights, num_layers, bidirectional);
  call.about.problem = plan::problem_of(sizes, extent_of(call, ragged), /*dropout=*/0.0, threads);
  if (packed) call.about.problem.cells = call.weights.packed->specs();
  const ForwardResults results = forward(std::move(call));
  return py::make_tuple(results.output, results.h_n, results.c_n);
}

}  // namespace

Call call_with(py::handle input, py::handle states, bool batch_first) {
  if (!PyTuple_CheckExact(states.ptr()) || PyTuple_GET_SIZE(states.ptr()) != 2) refuse("initial_states");
  return {{},
          array_of(input, "input"),
          array_of(PyTuple_GET_ITEM(states.ptr(), 0), "h_0"),
          array_of(PyTuple_GET_ITEM(states.ptr(), 1), "c_0"),
          {},
          batch_first};
}

plan::Extent extent_of(const Call& call, py::handle ragged) {
  plan::Extent extent;
  const auto given = [&](int place) { return ragged.is_none() ? py::none() : py::object(ragged[py::int_(place)]); };
  if (const py::object sizes = given(0); !sizes.is_none()) {
    extent.batch_sizes = integers_of(sizes);
    if (extent.batch_sizes.empty() || !given(1).is_none()) refuse("batch_sizes");
    extent.seq_len = static_cast<index_t>(extent.batch_sizes.size());
    extent.batch = extent.batch_sizes.front();
    return extent;
  }
  if (call.input.ndim() != 3 || call.input.size() == 0) refuse("input");
  extent.seq_len = call.input.shape(call.batch_first ? 1 : 0);
  extent.batch = call.input.shape(call.batch_first ? 0 : 1);
  if (const py::object lengths = given(1); !lengths.is_none()) {
    extent.lengths = integers_of(lengths);
    if (static_cast<index_t>(extent.lengths.size()) != extent.batch) refuse("lengths");
  }
  return extent;
}

plan::StackSizes take_packed(Call& call, py::handle packed, index_t num_layers, bool bidirectional) {
  call.weights.packed = &py::cast<const driver::PackedWeights&>(packed);
  call.weights.owner = py::reinterpret_borrow<py::object>(packed);
  const plan::StackSizes& sizes = call.weights.packed->sizes();
  if (sizes.num_layers != num_layers || sizes.num_directions != (bidirectional ? 2 : 1)) refuse("num_layers");
  return sizes;
}

void register_fast_path(py::module_& module) {
  using namespace py::literals;
  module.def(
      "lstm_if_plain",
      [](py::handle input, py::handle states, py::handle weights, const py::tuple& form, py::handle ragged,
         int threads) { return unless_refused([&] { return lstm(input, states, weights, form, ragged, threads); }); },
      "input"_a, "initial_states"_a, "weights"_a, "form"_a, "ragged"_a, "threads"_a,
      "output, h_n, c_n of a call with both biases; None where an argument needs a conversion, or is wrong.");
}

}  // namespace lstm_native::bindings
