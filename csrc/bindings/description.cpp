#include "bindings/description.hpp"

#include <pybind11/numpy.h>

#include <stdexcept>
#include <string>

namespace lstm_native::bindings {
namespace {

plan::Split split_of(py::handle split) {
  if (split.is_none()) return {0, 0, 0};
  return {py::cast<int>(split[py::int_(0)]), py::cast<int>(split[py::int_(1)]), py::cast<int>(split[py::int_(2)])};
}

}  // namespace

std::array<CellSpec, 2> cells_of_directions(py::handle cell) {
  static const Field core("core"), kind("kind"), clip("clip"), input_forget("input_forget"), peepholes("peepholes"),
      functions("functions");
  const py::object spec = core.of(cell);
  if (spec.is_none()) return {};
  const auto activation = [](py::handle function) -> ActivationSpec {
    const auto number = py::cast<std::uint32_t>(function[py::int_(0)]);
    if (number > static_cast<std::uint32_t>(Activation::softplus)) throw std::invalid_argument("cell: activation");
    return {static_cast<Activation>(number), py::cast<double>(function[py::int_(1)]),
            py::cast<double>(function[py::int_(2)])};
  };
  const auto number = kind.of<std::uint32_t>(spec);
  if (number > static_cast<std::uint32_t>(CellKind::general)) throw std::invalid_argument("cell: kind");
  const py::object triples = functions.of(spec);
  std::array<CellSpec, 2> cells;
  for (int d = 0; d < 2; ++d) {
    CellSpec& of = cells[static_cast<std::size_t>(d)];
    const py::object triple = triples[py::int_(d)];
    of.kind = static_cast<CellKind>(number);
    of.gates = activation(triple[py::int_(0)]);
    of.candidate = activation(triple[py::int_(1)]);
    of.output = activation(triple[py::int_(2)]);
    of.clip = clip.of<double>(spec);
    of.input_forget = input_forget.of<bool>(spec);
    of.peepholes = peepholes.of<bool>(spec);
  }
  return cells;
}

plan::StackSizes stack_sizes_of(py::handle sizes) {
  static const Field input_size("input_size"), hidden_size("hidden_size"), proj_size("proj_size"),
      num_layers("num_layers"), bidirectional("bidirectional");
  const auto units = hidden_size.of<index_t>(sizes);
  const auto projected = proj_size.of<index_t>(sizes);
  return {input_size.of<index_t>(sizes), units, projected > 0 ? projected : units, num_layers.of<index_t>(sizes),
          bidirectional.of<bool>(sizes) ? 2 : 1};
}

Field::Field(const char* name) : name_(PyUnicode_InternFromString(name)) {
  if (name_ == nullptr) throw py::error_already_set();
}

py::object Field::of(py::handle object) const {
  const Py_ssize_t place = found_in(Py_TYPE(object.ptr()))->place;
  if (place >= 0) {
    if (place >= PyTuple_GET_SIZE(object.ptr())) throw std::invalid_argument("expected a whole named tuple");
    return py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(object.ptr(), place));
  }
  PyObject* value = PyObject_GetAttr(object.ptr(), name_);
  if (value == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(value);
}

const Field::Found* Field::found_in(PyTypeObject* type) const {
  const Found* last = found_.load(std::memory_order_acquire);
  for (const Found* found = last; found != nullptr; found = found->before) {
    if (found->type == type) return found;
  }
  const py::handle owner(reinterpret_cast<PyObject*>(type));
  Py_ssize_t place = -1;
  if (PyType_IsSubtype(type, &PyTuple_Type) && py::hasattr(owner, "_fields")) {
    const py::tuple fields = owner.attr("_fields");
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(fields.ptr()); ++k) {
      if (PyObject_RichCompareBool(PyTuple_GET_ITEM(fields.ptr(), k), name_, Py_EQ) == 1) place = k;
    }
  }
  Py_INCREF(type);
  auto* const found = new Found{type, place, last};
  while (!found_.compare_exchange_weak(found->before, found, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return found;
}

std::vector<index_t> integers_of(py::handle listed) {
  std::vector<index_t> integers;
  if (PyList_CheckExact(listed.ptr()) || PyTuple_CheckExact(listed.ptr())) {
    // The tuple keeps the items, even if another thread changes the list meanwhile.
    const auto items = py::reinterpret_steal<py::tuple>(PySequence_Tuple(listed.ptr()));
    if (!items) throw py::error_already_set();
    integers.reserve(items.size());
    for (const py::handle item : items) {
      const Py_ssize_t integer = PyLong_CheckExact(item.ptr()) ? PyLong_AsSsize_t(item.ptr()) : -1;
      if (integer < 0) {  // no list has negative ints; -1: no int, or too large a one
        PyErr_Clear();
        throw std::invalid_argument("expected ints that are not negative");
      }
      integers.push_back(integer);
    }
    return integers;
  }
  // Refuses subclasses: a masked array also holds the ints that it masks.
  const bool is_array = Py_TYPE(listed.ptr()) == py::detail::npy_api::get().PyArray_Type_;
  if (!is_array || !py::isinstance<py::array_t<std::int64_t>>(listed))
    throw std::invalid_argument("expected a list of ints");
  const auto array = py::reinterpret_borrow<py::array_t<std::int64_t>>(listed);
  if (array.ndim() != 1 || (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) {
    throw std::invalid_argument("expected one axis, aligned");
  }
  integers.reserve(static_cast<std::size_t>(array.size()));
  for (index_t k = 0; k < array.size(); ++k) integers.push_back(static_cast<index_t>(*array.data(k)));
  return integers;
}

rng::DropoutStream masks_of(py::handle dropout) {
  if (!PyTuple_Check(dropout.ptr()) || PyTuple_GET_SIZE(dropout.ptr()) != 3) throw std::invalid_argument("dropout");
  const auto item = [&](Py_ssize_t k) { return py::handle(PyTuple_GET_ITEM(dropout.ptr(), k)); };
  return {py::cast<double>(item(0)), py::cast<std::uint64_t>(item(1)), py::cast<std::uint64_t>(item(2))};
}

Description description_of(py::handle problem) {
  static const Field sizes("sizes"), seq_len("seq_len"), batch("batch"), batch_sizes("batch_sizes"), lengths("lengths"),
      dropout("dropout"), threads("threads"), split("split"), cell("cell"), reverse("reverse"),
      recurrent_dropout("recurrent_dropout");
  const rng::DropoutStream stream = masks_of(dropout.of(problem));
  plan::Extent extent{seq_len.of<index_t>(problem), batch.of<index_t>(problem), integers_of(batch_sizes.of(problem)),
                      integers_of(lengths.of(problem))};
  Description description{plan::problem_of(stack_sizes_of(sizes.of(problem)), std::move(extent), stream.probability,
                                           threads.of<int>(problem)),
                          stream};
  description.problem.forced_split = split_of(split.of(problem));
  description.problem.cells = cells_of_directions(cell.of(problem));
  description.problem.reverse = reverse.of<bool>(problem);
  description.problem.recurrent_dropout = recurrent_dropout.of<double>(problem);
  return description;
}

std::optional<plan::TapeForm> tape_form_of(py::handle call) {
  static const Field tape("tape");
  const py::object form = tape.of(call);
  if (form.is_none()) return std::nullopt;
  const auto name = py::cast<std::string>(form);
  if (name == "gates") return plan::TapeForm::gates;
  if (name == "hidden") return plan::TapeForm::hidden;
  throw std::invalid_argument("tape: unexpected name");
}

std::vector<CellArrays> cells_of(py::handle listed) {
  static const Field input("input"), hidden("hidden"), input_bias("input_bias"), hidden_bias("hidden_bias"),
      peephole("peephole"), projection("projection");
  std::vector<CellArrays> cells;
  cells.reserve(py::len(listed));
  for (const py::handle cell : listed) {
    cells.push_back({input.of(cell), hidden.of(cell), input_bias.of(cell), hidden_bias.of(cell), peephole.of(cell),
                     projection.of(cell)});
  }
  return cells;
}

}  // namespace lstm_native::bindings
