// common: how many groups hold a number of things.
#pragma once

#include "common/types.hpp"

namespace lstm_native {

// count / size, rounded up; count is at least 0, size at least 1.
constexpr index_t ceil_div(index_t count, index_t size) { return (count + size - 1) / size; }

}  // namespace lstm_native
