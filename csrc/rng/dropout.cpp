#include "rng/dropout.hpp"

#include <cmath>

#include "rng/philox.hpp"

namespace lstm_native::rng {

template <class Real>
void apply_dropout(Real* values, index_t count, std::uint64_t first_position, const DropoutStream& stream) {
  // 64 bits, because the threshold of probability 1 is 2^32: it is above every word.
  const auto threshold = static_cast<std::uint64_t>(std::llround(stream.probability * 4294967296.0));
  const Real scale = stream.probability < 1.0 ? static_cast<Real>(1.0 / (1.0 - stream.probability)) : Real{0};
  const auto key_low = static_cast<std::uint32_t>(stream.key);
  const auto key_high = static_cast<std::uint32_t>(stream.key >> 32U);
  index_t done = 0;
  while (done < count) {
    const std::uint64_t position = first_position + static_cast<std::uint64_t>(done);
    const std::uint64_t quad = position / 4;
    const Block words =
        philox4x32_10({static_cast<std::uint32_t>(quad), static_cast<std::uint32_t>(quad >> 32U),
                       static_cast<std::uint32_t>(stream.counter), static_cast<std::uint32_t>(stream.counter >> 32U)},
                      key_low, key_high);
    for (std::size_t word = position % 4; word < 4 && done < count; ++word, ++done) {
      // A select, not a product with a 0/1 mask: a dropped NaN must become 0.
      values[done] = words[word] < threshold ? Real{0} : values[done] * scale;
    }
  }
}

template void apply_dropout<float>(float*, index_t, std::uint64_t, const DropoutStream&);
template void apply_dropout<double>(double*, index_t, std::uint64_t, const DropoutStream&);

}  // namespace lstm_native::rng
