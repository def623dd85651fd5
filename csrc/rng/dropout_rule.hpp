// rng: which elements a mask drops, as a function of key, call counter and position, for hosts and devices.
#pragma once

#include <cmath>
#include <cstdint>

#include "rng/philox.hpp"

namespace lstm_native::rng {

// 64 bits, because the threshold of probability 1 is 2^32: it is above every word.
struct DropoutRule {
  std::uint64_t threshold = 0;  // a word below it drops its element
  double scale = 1.0;           // factor of the kept elements
};

inline DropoutRule dropout_rule(double probability) {
  return {static_cast<std::uint64_t>(std::llround(probability * 4294967296.0)),
          probability < 1.0 ? 1.0 / (1.0 - probability) : 0.0};
}

// The words of positions [4 * quad, 4 * quad + 4).
LSTM_NATIVE_HOST_DEVICE inline Block dropout_words(std::uint64_t quad, std::uint64_t key, std::uint64_t counter) {
  return philox4x32_10({static_cast<std::uint32_t>(quad), static_cast<std::uint32_t>(quad >> 32U),
                        static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32U)},
                       static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32U));
}

// Whether one position's element is dropped.
LSTM_NATIVE_HOST_DEVICE inline bool drops(const DropoutRule& rule, std::uint64_t position, std::uint64_t key,
                                          std::uint64_t counter) {
  const Block words = dropout_words(position / 4, key, counter);
  // Not words[position % 4]: a device keeps an array that is indexed by a variable in memory.
  const std::uint32_t low = position % 2 == 0 ? words[0] : words[1];
  const std::uint32_t high = position % 2 == 0 ? words[2] : words[3];
  return (position % 4 < 2 ? low : high) < rule.threshold;
}

}  // namespace lstm_native::rng
