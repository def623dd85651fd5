// plan: hands out places in one block of scratch, each of whole cache lines.
#pragma once

#include "common/aligned_buffer.hpp"
#include "common/checked_size.hpp"
#include "common/types.hpp"

namespace lstm_native::plan {

template <class Real>
inline index_t whole_lines(index_t count) {
  constexpr auto line = static_cast<index_t>(cache_line_bytes / sizeof(Real));
  return checked_sum({count, line - 1}) / line * line;
}

// Reserves `count` elements, whole cache lines; returns their offset.
template <class Real>
inline index_t take_place(index_t& taken, index_t count) {
  const index_t offset = taken;
  taken = checked_sum({taken, whole_lines<Real>(count)});
  return offset;
}

}  // namespace lstm_native::plan
