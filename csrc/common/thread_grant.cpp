#include "common/thread_grant.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace lstm_native {
namespace {

// Atomics, not a mutex: a fork while another thread holds a mutex would leave it locked in the child for ever.
std::atomic<int> threads_in_use{0};
std::atomic<bool> had_several_threads{false};
std::atomic<bool> serial_only{false};

// What the call has that this thread is in the middle of. Another one can then come from the handler of a signal: it
// must not wait for threads that only the first one gives back, and has this one in any case.
thread_local int own_threads = 0;

// OpenMP's threads don't survive a fork, but GCC's runtime goes on waiting for them: a region with several threads
// would hang in a child of a process that had such regions. One thread computes the same bits.
void in_forked_child() {
  threads_in_use = own_threads;
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

ThreadGrant::ThreadGrant(int wanted, Interruption& interruption) : nested_(own_threads > 0) {
  if (nested_) {
    granted_ = 1;
    return;
  }
  Watch watch(interruption, /*asks=*/true);
  wanted = serial_only || wanted <= 1 ? 1 : startable(std::min(wanted, most_threads));
  int in_use = threads_in_use;
  while (granted_ == 0) {
    const int granted = std::min(wanted, most_threads - in_use);
    if (granted < 1) {
      if (watch.stops_after_a_pause()) return;
      // Yielding to most_threads others could take a second; who has slept is soon awake.
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      in_use = threads_in_use;
    } else if (threads_in_use.compare_exchange_weak(in_use, in_use + granted)) {
      granted_ = granted;
    }
  }
  if (granted_ > 1) had_several_threads = true;
  own_threads = granted_;
}

ThreadGrant::~ThreadGrant() {
  if (nested_ || granted_ == 0) return;
  threads_in_use -= granted_;
  own_threads = 0;
}

}  // namespace lstm_native
