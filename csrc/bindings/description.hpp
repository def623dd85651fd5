// bindings: reads the Python layer's description of a call, by the names of its fields. The CUDA target's bindings use
// it, too.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <atomic>
#include <optional>
#include <vector>

#include "common/cell_spec.hpp"
#include "common/types.hpp"
#include "plan/problem.hpp"
#include "plan/tape.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::bindings {

namespace py = pybind11;

// A field of one of the Python layer's classes. In a named tuple it is looked up by name once, then read by position.
class Field {
 public:
  explicit Field(const char* name);  // throws where memory is short
  py::object of(py::handle object) const;
  template <class Value>
  Value of(py::handle object) const {
    return py::cast<Value>(of(object));
  }

 private:
  struct Found {
    PyTypeObject* type;
    Py_ssize_t place;  // in tuples of this type; negative: they have none
    const Found* before;
  };
  const Found* found_in(PyTypeObject* type) const;

  // Never released, like a Found and its type: a call may outlive the interpreter.
  PyObject* name_;
  // The types that were met, the last one first. Threads without a GIL share it.
  mutable std::atomic<const Found*> found_{nullptr};
};

// Converts a list, a tuple or an array of integers. Throws std::invalid_argument for anything else.
std::vector<index_t> integers_of(py::handle listed);

// Reads a `_cell.Cell`, for each direction.
std::array<CellSpec, 2> cells_of_directions(py::handle cell);

// Reads a `_sizes.Sizes`.
plan::StackSizes stack_sizes_of(py::handle sizes);

// Reads a `_run.Dropout`, or a tuple of its items, which an operator's call makes faster.
rng::DropoutStream masks_of(py::handle dropout);

// A `_run.Problem`: a problem, and the place of its masks in the generator's stream. Its threads may be 0, which stands
// for the default.
struct Description {
  plan::Problem problem;
  rng::DropoutStream dropout;
};
Description description_of(py::handle problem);

// The form of the tape that a `_run.ForwardCall` keeps.
std::optional<plan::TapeForm> tape_form_of(py::handle call);

// The arrays of a `_run.CellWeights`. Absent ones are None.
struct CellArrays {
  py::object input, hidden, input_bias, hidden_bias;
  py::object peephole = py::none();
  py::object projection = py::none();
};
std::vector<CellArrays> cells_of(py::handle listed);

}  // namespace lstm_native::bindings
