// bindings: what the Python layer says of a call, read by the names of its fields. The CUDA target's bindings read it,
// too.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <optional>
#include <vector>

#include "common/cell_spec.hpp"
#include "common/types.hpp"
#include "plan/problem.hpp"
#include "plan/tape.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::bindings {

namespace py = pybind11;

// A field of one of the Python layer's classes. A named tuple's is looked up by its name once, then read by its place.
class Field {
 public:
  explicit Field(const char* name);  // throws where memory is short
  py::object of(py::handle object) const;
  template <class Value>
  Value of(py::handle object) const {
    return py::cast<Value>(of(object));
  }

 private:
  void find_in(PyTypeObject* type) const;

  PyObject* name_;  // never released, as type_: interpreters end before the last call does
  mutable PyTypeObject* type_ = nullptr;
  mutable Py_ssize_t place_ = 0;  // in tuples of this type; negative: they have none
};

// Python's ints; std::invalid_argument for anything else than a list, a tuple or an array of integers.
std::vector<index_t> integers_of(py::handle listed);

// Of a `_cell.Cell`, for each direction.
std::array<CellSpec, 2> cells_of_directions(py::handle cell);

// Of a `_sizes.Sizes`.
plan::StackSizes stack_sizes_of(py::handle sizes);

// Of a `_run.Dropout`, or a tuple of its items: an operator's call has no time to make one.
rng::DropoutStream masks_of(py::handle dropout);

// A problem with the place of its masks in the generator's stream, of a `_run.Problem`. Its threads may be 0, which
// stands for the default.
struct Description {
  plan::Problem problem;
  rng::DropoutStream dropout;
};
Description description_of(py::handle problem);

// What a `_run.ForwardCall` asks to keep.
std::optional<plan::TapeForm> tape_form_of(py::handle call);

// The arrays of a `_run.CellWeights`: None where there is none.
struct CellArrays {
  py::object input, hidden, input_bias, hidden_bias;
  py::object peephole = py::none();
  py::object projection = py::none();
};
std::vector<CellArrays> cells_of(py::handle listed);

}  // namespace lstm_native::bindings
