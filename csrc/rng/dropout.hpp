// rng: the dropout mask as a function of key, call counter and position, so that any thread can compute any part of it
// and backward can compute it again.
#pragma once

#include <cstdint>

#include "common/types.hpp"

namespace lstm_native::rng {

struct DropoutStream {
  double probability = 0.0;   // of dropping an element, in [0, 1]
  std::uint64_t key = 0;      // the seed
  std::uint64_t counter = 0;  // which call since the seed
};

// values[k] becomes 0 where the mask drops position first_position + k, and values[k] / (1 - probability) elsewhere.
// A position is (layer * rows + row) * width + column over the sequence's rows in time order. Dropout of h_(t-1) has
// the positions from 2^62 on: (state * batch + row) * output_size + unit, state = layer * directions + direction.
// Philox's counter is (position / 4: 64 bits, call counter: 64 bits); position % 4 picks the word, and an element is
// dropped where that word is below probability * 2^32.
template <class Real>
void apply_dropout(Real* values, index_t count, std::uint64_t first_position, const DropoutStream& stream);

}  // namespace lstm_native::rng
