#include "plan/active_rows.hpp"

#include <algorithm>
#include <numeric>

#include "common/checked_size.hpp"

namespace lstm_native::plan {

ActiveRows::ActiveRows(const Problem& problem, bool steps_listed)
    : steps_(problem.seq_len),
      batch_(problem.batch),
      total_(checked_product({steps_, batch_})),  // so the product of the two does not overflow below
      packed_(problem.packed()) {
  if (!problem.ragged()) return;
  const auto batch = static_cast<std::size_t>(batch_);
  lengths_.resize(batch);
  if (packed_) {
    index_t step = steps_;
    for (index_t row = 0; row < batch_; ++row) {
      while (problem.batch_sizes[static_cast<std::size_t>(step) - 1] <= row) --step;
      lengths_[static_cast<std::size_t>(row)] = step;
    }
  } else {
    order_.resize(batch);
    std::iota(order_.begin(), order_.end(), index_t{0});
    const auto length_of = [&](index_t row) { return problem.lengths[static_cast<std::size_t>(row)]; };
    std::stable_sort(order_.begin(), order_.end(), [&](index_t a, index_t b) { return length_of(a) > length_of(b); });
    std::transform(order_.begin(), order_.end(), lengths_.begin(), length_of);
  }
  total_ = std::accumulate(lengths_.begin(), lengths_.end(), index_t{0});  // at most steps times rows
  if (!steps_listed) return;
  offsets_.resize(static_cast<std::size_t>(steps_) + 1);
  index_t active = batch_;
  for (index_t step = 0; step < steps_; ++step) {
    while (active > 0 && length(active - 1) <= step) --active;
    offsets_[static_cast<std::size_t>(step) + 1] = offset(step) + active;
  }
}

}  // namespace lstm_native::plan
