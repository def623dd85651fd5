// common: shares the threads that may compute at once in the process among its parallel regions.
#pragma once

#include "common/interruption.hpp"

namespace lstm_native {

// At most this many threads of the process compute at once, in all calls together. OpenBLAS as it comes from PyPI has
// working memory for 128 callers (2 * 64, its NUM_THREADS); beyond that it warns on stderr, and from some 640 on it
// corrupts memory.
inline constexpr int most_threads = 128;

// Holds from 1 to `wanted` threads while it exists, at most as many as the system can start. The constructor waits
// while all threads are taken. If the call is cancelled meanwhile, it holds none.
class ThreadBudget {
 public:
  ThreadBudget(int wanted, Interruption& interruption);
  ~ThreadBudget();
  ThreadBudget(const ThreadBudget&) = delete;
  ThreadBudget& operator=(const ThreadBudget&) = delete;

  int threads() const { return granted_; }

  // Must be called in the region by the thread that opened it. threads: how many OpenMP gave.
  static void opened(int threads);

  // The threads of the calling thread's last budget outside of another one; 0: there was none.
  static int last_threads();

 private:
  int granted_ = 0;
  bool nested_;
};

}  // namespace lstm_native
