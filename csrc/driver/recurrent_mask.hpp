// driver: dropout of the hidden states that the steps of their own layer read: one mask for all steps of a call.
#pragma once

#include <algorithm>

#include "common/views.hpp"
#include "plan/plan.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::driver {

// Of one direction of a layer.
template <class Real>
struct RecurrentMask {
  rng::DropoutStream stream;
  index_t first_row = 0;     // of all directions' (batch) rows of masks, its own first one
  StoredRows<Real> factors;  // (batch, output_size): scratch for 0 or 1 / (1 - probability); absent: nothing is dropped

  explicit operator bool() const { return factors.data != nullptr; }

  // Fills some factors of a row of the batch.
  void draw(index_t callers_row, index_t row, plan::Span units) const {
    // Beyond all positions between layers.
    constexpr std::uint64_t first_position = std::uint64_t{1} << 62;
    Real* to = factors.row(row) + units.begin;
    std::fill_n(to, units.size(), Real{1});
    const index_t at = (first_row + callers_row) * factors.width + units.begin;
    rng::apply_dropout(to, units.size(), first_position + static_cast<std::uint64_t>(at), stream);
  }

  // to[k] = from[k] times its factor, in some units of a row; both may be the same. A dropped NaN becomes 0.
  void apply(index_t row, plan::Span units, const Real* from, Real* to) const {
    const Real* factor = factors.row(row);
    for (index_t k = units.begin; k < units.end; ++k) to[k] = factor[k] == Real{0} ? Real{0} : from[k] * factor[k];
  }
};

}  // namespace lstm_native::driver
