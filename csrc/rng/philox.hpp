// rng: Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
// as 1, 2, 3" (SC 2011): a pure function from a key and a 128-bit counter to four 32-bit numbers.
#pragma once

#include <array>
#include <cstdint>

#ifdef __CUDACC__
#define LSTM_NATIVE_HOST_DEVICE __host__ __device__
#else
#define LSTM_NATIVE_HOST_DEVICE
#endif

namespace lstm_native::rng {

using Block = std::array<std::uint32_t, 4>;

LSTM_NATIVE_HOST_DEVICE inline Block philox4x32_10(Block counter, std::uint32_t key_low, std::uint32_t key_high) {
  constexpr std::uint64_t multiplier_0 = 0xD2511F53U;
  constexpr std::uint64_t multiplier_1 = 0xCD9E8D57U;
  constexpr std::uint32_t weyl_0 = 0x9E3779B9U;
  constexpr std::uint32_t weyl_1 = 0xBB67AE85U;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product_0 = multiplier_0 * counter[0];
    const std::uint64_t product_1 = multiplier_1 * counter[2];
    counter = {
        static_cast<std::uint32_t>(product_1 >> 32U) ^ counter[1] ^ key_low, static_cast<std::uint32_t>(product_1),
        static_cast<std::uint32_t>(product_0 >> 32U) ^ counter[3] ^ key_high, static_cast<std::uint32_t>(product_0)};
    key_low += weyl_0;
    key_high += weyl_1;
  }
  return counter;
}

}  // namespace lstm_native::rng
