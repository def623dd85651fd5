// kernels/neon: NEON of aarch64, with its fused multiply-add and its 32 registers; its variant has the dot product of
// Armv8.2, too.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.hpp"

#define LSTM_NATIVE_INTEGER_DOT_VARIANT "neon_dot"
#define LSTM_NATIVE_ISA_PRIMITIVES "kernels/neon/primitives.inl"

namespace lstm_native::kernels::neon {

constexpr const char* isa_name = "neon";
constexpr index_t vector_bytes = 16;
constexpr int tile_rows = 6;  // the sums of rows * 4 gates and a turn's operands fill the registers
constexpr const char* multiply_add_name = "fused multiply-add";
constexpr const char* multiply_pairs_name = "integer multiplication, addition";
constexpr const char* multiply_bytes_name = "sdot";

#include "kernels/generic/unit.inl"

}  // namespace lstm_native::kernels::neon
