#include "rng/dropout.hpp"

#include "rng/dropout_rule.hpp"

namespace lstm_native::rng {

template <class Real>
void apply_dropout(Real* values, index_t count, std::uint64_t first_position, const DropoutStream& stream) {
  const DropoutRule rule = dropout_rule(stream.probability);
  const Real scale = static_cast<Real>(rule.scale);
  index_t done = 0;
  while (done < count) {
    const std::uint64_t position = first_position + static_cast<std::uint64_t>(done);
    const Block words = dropout_words(position / 4, stream.key, stream.counter);
    for (std::size_t word = position % 4; word < 4 && done < count; ++word, ++done) {
      // A select, not a product with a 0/1 mask: a dropped NaN must become 0.
      values[done] = words[word] < rule.threshold ? Real{0} : values[done] * scale;
    }
  }
}

template void apply_dropout<float>(float*, index_t, std::uint64_t, const DropoutStream&);
template void apply_dropout<double>(double*, index_t, std::uint64_t, const DropoutStream&);

}  // namespace lstm_native::rng
