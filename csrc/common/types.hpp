// common: the index type, the element types, the gate order. No functions here: per-ISA units include this file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lstm_native {

using index_t = std::ptrdiff_t;

enum class Dtype : std::uint32_t { float32 = 4, float64 = 8 };  // the value is the element's size in bytes

template <class Real>
inline constexpr Dtype dtype_of = sizeof(Real) == 4 ? Dtype::float32 : Dtype::float64;

// The only statement of the gate order. Python converts other systems' orders.
enum Gate : index_t { input_gate = 0, forget_gate = 1, cell_candidate = 2, output_gate = 3 };
inline constexpr index_t gate_count = 4;

// The gates that can see the cell state have a weight per unit for that, in this order.
enum Peephole : index_t { input_peephole = 0, forget_peephole = 1, output_peephole = 2 };
inline constexpr index_t peephole_count = 3;

}  // namespace lstm_native
