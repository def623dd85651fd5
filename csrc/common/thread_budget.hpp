// common: how many threads a parallel region gets, of those that the process may have computing at once.
#pragma once

#include "common/interruption.hpp"

namespace lstm_native {

// At most this many threads of the process compute at once, in all calls together. OpenBLAS as it comes from PyPI has
// working memory for 128 callers (2 * 64, its NUM_THREADS); beyond that it warns on stderr, and from some 640 on it
// corrupts memory.
inline constexpr int most_threads = 128;

// Holds between 1 and `wanted` threads for as long as it lives, no more than the system lets be started; waits while
// all are taken. Where the call is to end before there is any, it holds none.
class ThreadBudget {
 public:
  ThreadBudget(int wanted, Interruption& interruption);
  ~ThreadBudget();
  ThreadBudget(const ThreadBudget&) = delete;
  ThreadBudget& operator=(const ThreadBudget&) = delete;

  int threads() const { return granted_; }

  // To be called by the thread with the budget, in the region that it opened: how many threads OpenMP gave.
  static void opened(int threads);

  // The threads of the calling thread's last budget that was not nested; 0: there was none.
  static int last_threads();

 private:
  int granted_ = 0;
  bool nested_;
};

}  // namespace lstm_native
