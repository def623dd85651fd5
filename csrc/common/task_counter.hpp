// common: hands out the tasks of a list, each to the thread that asks first.
#pragma once

#include <atomic>

#include "common/aligned_buffer.hpp"
#include "common/types.hpp"

namespace lstm_native {

class alignas(cache_line_bytes) TaskCounter {
 public:
  // 0, 1, 2, ... over all threads.
  index_t take() { return next_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<index_t> next_{0};
};

}  // namespace lstm_native
