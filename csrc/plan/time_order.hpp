// plan: the order in which one direction takes the steps of a sequence.
#pragma once

#include "plan/active_rows.hpp"

namespace lstm_native::plan {

struct TimeOrder {
  const ActiveRows& rows;
  bool reverse;

  // The k-th step of [begin, end) in this order, or the k-th chunk of steps.
  index_t nth(index_t begin, index_t end, index_t k) const { return reverse ? end - 1 - k : begin + k; }
  index_t before(index_t step) const { return reverse ? step + 1 : step - 1; }
  index_t after(index_t step) const { return reverse ? step - 1 : step + 1; }
  // Of a row, which must have at least one step.
  index_t first(index_t row) const { return reverse ? rows.length(row) - 1 : 0; }
  index_t last(index_t row) const { return reverse ? 0 : rows.length(row) - 1; }
};

}  // namespace lstm_native::plan
