// common: products and sums of sizes that throw where they would overflow.
#pragma once

#include <initializer_list>
#include <new>

#include "common/types.hpp"

namespace lstm_native {

// A size that an index can't count is larger than any memory. Python raises a MemoryError with this text.
class Uncountable final : public std::bad_alloc {
 public:
  const char* what() const noexcept override {
    return "the sizes of this call mean more elements than any memory holds";
  }
};

inline index_t checked_product(std::initializer_list<index_t> factors) {
  index_t product = 1;
  for (const index_t factor : factors) {
    if (factor < 0 || __builtin_mul_overflow(product, factor, &product)) throw Uncountable();
  }
  return product;
}

inline index_t checked_sum(std::initializer_list<index_t> terms) {
  index_t sum = 0;
  for (const index_t term : terms) {
    if (__builtin_add_overflow(sum, term, &sum)) throw Uncountable();
  }
  return sum;
}

}  // namespace lstm_native
