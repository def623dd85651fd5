// kernels/avx512: AVX-512 F, BW, DQ and VL; its variants have VNNI, or VNNI and BF16, too.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.hpp"

#define LSTM_NATIVE_INTEGER_DOT_VARIANT "avx512_vnni"
#define LSTM_NATIVE_BFLOAT16_DOT_VARIANT "avx512_bf16"
#define LSTM_NATIVE_ISA_PRIMITIVES "kernels/avx512/primitives.inl"

namespace lstm_native::kernels::avx512 {

constexpr const char* isa_name = "avx512";
constexpr index_t vector_bytes = 64;
constexpr int tile_rows = 6;  // the sums of rows * 4 gates and a turn's operands fill the registers
constexpr const char* multiply_add_name = "fused multiply-add";
constexpr const char* multiply_pairs_name = "vpmaddwd";
constexpr const char* multiply_bytes_name = "vpdpbusd";

#include "kernels/generic/unit.inl"

}  // namespace lstm_native::kernels::avx512
