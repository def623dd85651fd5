// kernels/baseline: what every CPU of the target architecture has (SSE2 on x86-64, NEON on aarch64).
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.hpp"

#define LSTM_NATIVE_ISA_PRIMITIVES "kernels/baseline/primitives.inl"

namespace lstm_native::kernels::baseline {

constexpr const char* isa_name = "baseline";
constexpr index_t vector_bytes = 16;
constexpr int tile_rows = 3;  // the sums of rows * 4 gates and a turn's operands fill the registers
constexpr const char* multiply_add_name = "multiplication, addition";
#ifdef __SSE2__
constexpr const char* multiply_pairs_name = "pmaddwd";
#else
constexpr const char* multiply_pairs_name = "integer multiplication, addition";
#endif
constexpr const char* multiply_bytes_name = "";  // there is no variant

#include "kernels/generic/unit.inl"

}  // namespace lstm_native::kernels::baseline
