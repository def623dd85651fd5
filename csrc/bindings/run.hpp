// bindings: the forward call.
#pragma once

#include "bindings/call.hpp"

namespace lstm_native::bindings {

struct ForwardResults {
  py::object output, h_n, c_n;
  py::object tape;  // (elements, 1), or None
};

// Runs a call, with results in new arrays. Throws std::invalid_argument where the call's arrays do not agree.
// repetitions: how often the driver runs, for benchmarks of its part of a call.
ForwardResults forward(Call call, index_t repetitions = 1);

}  // namespace lstm_native::bindings
