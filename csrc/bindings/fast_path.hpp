// bindings: the path of calls whose arguments need no conversion. Such a call may take microseconds.
#pragma once

#include <pybind11/pybind11.h>

#include <stdexcept>

#include "bindings/call.hpp"

namespace lstm_native::bindings {

// Returns what run() does, or None where run() refuses an argument. The Python layer then converts what can be
// converted, and reports what is wrong with the rest.
template <class Run>
py::object unless_refused(const Run& run) {
  try {
    return run();
  } catch (const std::invalid_argument&) {
    return py::none();
  }
}

// Makes a call with these arrays. Its sizes, options and weights are not set.
Call call_with(py::handle input, py::handle states, bool batch_first);

// Reads the extent from input's axes. ragged: None, or batch_sizes and lengths, one of them None.
plan::Extent extent_of(const Call& call, py::handle ragged);

// Throws std::invalid_argument unless the packed weights have these layers and directions.
plan::StackSizes take_packed(Call& call, py::handle packed, index_t num_layers, bool bidirectional);

}  // namespace lstm_native::bindings
