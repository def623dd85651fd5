// common: products and sums of sizes that refuse to wrap.
#pragma once

#include <initializer_list>
#include <stdexcept>

#include "common/types.hpp"

namespace lstm_native {

inline index_t checked_product(std::initializer_list<index_t> factors) {
  index_t product = 1;
  for (const index_t factor : factors) {
    if (factor < 0 || __builtin_mul_overflow(product, factor, &product)) {
      throw std::length_error("the sizes of this call multiply to more elements than an index can count");
    }
  }
  return product;
}

inline index_t checked_sum(std::initializer_list<index_t> terms) {
  index_t sum = 0;
  for (const index_t term : terms) {
    if (__builtin_add_overflow(sum, term, &sum)) {
      throw std::length_error("the sizes of this call add up to more elements than an index can count");
    }
  }
  return sum;
}

}  // namespace lstm_native
