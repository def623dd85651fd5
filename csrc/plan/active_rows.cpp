#include "plan/active_rows.hpp"

#include <algorithm>
#include <numeric>

#include "common/checked_size.hpp"

namespace lstm_native::plan {

ActiveRows::ActiveRows(const Problem& problem)
    : steps_(problem.seq_len), batch_(problem.batch), packed_(problem.packed()) {
  checked_product({steps_, batch_});  // from here on, products of the two are safe
  if (!problem.ragged()) return;
  const auto steps = static_cast<std::size_t>(steps_);
  const auto batch = static_cast<std::size_t>(batch_);
  std::vector<index_t> counts = problem.batch_sizes;
  if (!packed_) {
    order_.resize(batch);
    std::iota(order_.begin(), order_.end(), index_t{0});
    const auto length_of = [&](index_t row) { return problem.lengths[static_cast<std::size_t>(row)]; };
    std::stable_sort(order_.begin(), order_.end(), [&](index_t a, index_t b) { return length_of(a) > length_of(b); });
    lengths_.reserve(batch);
    for (const index_t row : order_) lengths_.push_back(length_of(row));
    counts.resize(steps);
    index_t active = batch_;
    for (index_t step = 0; step < steps_; ++step) {
      while (active > 0 && lengths_[static_cast<std::size_t>(active) - 1] <= step) --active;
      counts[static_cast<std::size_t>(step)] = active;
    }
  } else {
    lengths_.resize(batch);
    index_t step = steps_;
    for (index_t row = 0; row < batch_; ++row) {
      while (counts[static_cast<std::size_t>(step) - 1] <= row) --step;
      lengths_[static_cast<std::size_t>(row)] = step;
    }
  }
  offsets_.reserve(steps + 1);
  offsets_.push_back(0);
  for (const index_t count : counts) offsets_.push_back(checked_sum({offsets_.back(), count}));
}

}  // namespace lstm_native::plan
