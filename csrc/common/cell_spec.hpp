// common: which cell a call computes, as plain data. No functions here: per-ISA units include this file.
#pragma once

#include <cstdint>

namespace lstm_native {

enum class Activation : std::uint32_t { sigmoid = 0, tanh = 1 };

// Each has a file in csrc/kernels/generic/cells/, with its formulas.
enum class CellKind : std::uint32_t { standard = 0, coupled = 1 };

struct CellSpec {
  CellKind kind = CellKind::standard;
};

}  // namespace lstm_native
