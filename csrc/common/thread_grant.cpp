#include "common/thread_grant.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>

namespace lstm_native {
namespace {

// Atomics, not a mutex: a fork while another thread holds a mutex would leave it locked in the child for ever.
std::atomic<int> threads_in_use{0};
std::atomic<bool> had_several_threads{false};
std::atomic<bool> serial_only{false};

// OpenMP's threads don't survive a fork, but GCC's runtime goes on waiting for them: a region with several threads
// would hang in a child of a process that had such regions. One thread computes the same bits.
void in_forked_child() {
  threads_in_use = 0;
  if (had_several_threads) serial_only = true;
}

[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, in_forked_child);

}  // namespace

ThreadGrant::ThreadGrant(int wanted) {
  wanted = serial_only ? 1 : std::clamp(wanted, 1, most_threads);
  int in_use = threads_in_use;
  while (granted_ == 0) {
    const int granted = std::min(wanted, most_threads - in_use);
    if (granted < 1) {
      sched_yield();
      in_use = threads_in_use;
    } else if (threads_in_use.compare_exchange_weak(in_use, in_use + granted)) {
      granted_ = granted;
    }
  }
  if (granted_ > 1) had_several_threads = true;
}

ThreadGrant::~ThreadGrant() { threads_in_use -= granted_; }

}  // namespace lstm_native
