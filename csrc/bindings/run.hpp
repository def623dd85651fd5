// bindings: the forward call.
#pragma once

#include "bindings/call.hpp"

namespace lstm_native::bindings {

struct ForwardResults {
  py::object output, h_n, c_n;
  py::object tape;  // (elements, 1), or None
};

// In new arrays. std::invalid_argument where the arrays do not agree.
// repetitions: of the driver's work, for benchmarks that ask what it takes without the rest.
ForwardResults forward(Call call, index_t repetitions = 1);

}  // namespace lstm_native::bindings
