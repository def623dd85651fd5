// kernels/avx2: AVX2 with FMA; its variant has AVX-VNNI, too.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.hpp"

#define LSTM_NATIVE_INTEGER_DOT_VARIANT "avx2_vnni"
#define LSTM_NATIVE_ISA_PRIMITIVES "kernels/avx2/primitives.inl"

namespace lstm_native::kernels::avx2 {

constexpr const char* isa_name = "avx2";
constexpr index_t vector_bytes = 32;
constexpr int tile_rows = 3;  // the sums of rows * 4 gates and a turn's operands fill the registers
constexpr const char* multiply_add_name = "fused multiply-add";
constexpr const char* multiply_pairs_name = "vpmaddwd";
constexpr const char* multiply_bytes_name = "vpdpbusd";

#include "kernels/generic/unit.inl"

}  // namespace lstm_native::kernels::avx2
