// bindings: the forward call.
#pragma once

#include "bindings/call.hpp"

namespace lstm_native::bindings {

// output, h_n, c_n, and the tape or None, in new arrays. std::invalid_argument where the arrays do not agree.
py::tuple forward(Call call);

}  // namespace lstm_native::bindings
