// bindings: calls whose arguments need no conversion, which may take microseconds.
#pragma once

#include <pybind11/pybind11.h>

#include <stdexcept>

#include "bindings/call.hpp"

namespace lstm_native::bindings {

// What run() returns; None where it refuses an argument. The Python layer then converts what can be converted, and says
// of the rest what is wrong.
template <class Run>
py::object unless_refused(const Run& run) {
  try {
    return run();
  } catch (const std::invalid_argument&) {
    return py::none();
  }
}

// A call of these arrays, without its sizes, options and weights.
Call call_with(py::handle input, py::handle states, bool batch_first);

// From input's axes; ragged: None, or batch_sizes and lengths, one of them None.
plan::Extent extent_of(const Call& call, py::handle ragged);

// std::invalid_argument unless they are of this depth.
plan::StackSizes take_packed(Call& call, py::handle packed, index_t num_layers, bool bidirectional);

}  // namespace lstm_native::bindings
