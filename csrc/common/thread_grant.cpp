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

void* wait_to_end(void* end) {
  while (!static_cast<std::atomic<bool>*>(end)->load(std::memory_order_acquire)) sched_yield();
  return nullptr;
}

// How many of `wanted` threads, the calling one included, the system lets live at once.
int most_that_start(int wanted) {
  pthread_t threads[most_threads];
  std::atomic<bool> end{false};
  int started = 1;
  while (started < wanted && pthread_create(&threads[started], nullptr, &wait_to_end, &end) == 0) ++started;
  end.store(true, std::memory_order_release);
  for (int k = 1; k < started; ++k) pthread_join(threads[k], nullptr);
  return started;
}

// OpenMP ends the process where it gets no thread. So before a thread first calls for more of them than ever, ours try
// whether they can be had; fewer compute the same bits.
int startable(int wanted) {
  thread_local int proven = 1;
  if (wanted > proven) proven = std::max(proven, most_that_start(wanted));
  return std::min(wanted, proven);
}

[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, in_forked_child);

}  // namespace

ThreadGrant::ThreadGrant(int wanted) {
  wanted = serial_only || wanted <= 1 ? 1 : startable(std::min(wanted, most_threads));
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
