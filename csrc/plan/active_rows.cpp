#include "plan/active_rows.hpp"

#include <algorithm>

#include "common/checked_size.hpp"

namespace lstm_native::plan {

ActiveRows::ActiveRows(const Problem& problem) : steps_(problem.seq_len), batch_(problem.batch) {
  checked_product({steps_, batch_});  // from here on, products of the two are safe
  if (!problem.packed()) return;
  offsets_.reserve(problem.batch_sizes.size() + 1);
  offsets_.push_back(0);
  for (const index_t size : problem.batch_sizes) offsets_.push_back(checked_sum({offsets_.back(), size}));
}

index_t ActiveRows::step_of(index_t stored_row) const {
  if (offsets_.empty()) return stored_row / batch_;
  return std::upper_bound(offsets_.begin(), offsets_.end(), stored_row) - offsets_.begin() - 1;
}

}  // namespace lstm_native::plan
