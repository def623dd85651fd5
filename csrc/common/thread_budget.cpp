#include "common/thread_budget.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "common/team.hpp"

namespace lstm_native {
namespace {

// Atomics, not a mutex: a fork while another thread holds a mutex would leave it locked in the child for ever.
std::atomic<int> threads_in_use{0};
std::atomic<bool> serial_only{false};
std::atomic<bool> closed{false};

// The threads of the call that this thread is in. A signal handler can make another call in the middle of it. That one
// must not wait for threads that the first call holds; it computes on this thread.
thread_local int own_threads = 0;

thread_local int last_threads_granted = 0;

// The threads that OpenMP keeps for this thread's next region, including itself. GCC's runtime ends those that a
// smaller region does not use, and all threads of a nested region.
thread_local int kept_threads = 1;

// OpenMP's threads don't survive a fork, but GCC's runtime would still wait for those of the forking thread: its next
// region would hang in the child. So they end before the fork, and the next region of parent or child gets new ones.
// They can't end in the middle of a region: then the child computes with one thread, to the same bits.
thread_local bool ready_to_fork = true;

// Whether this process was forked and has not called exec since, according to Linux.
bool forked_without_exec() {
  std::ifstream stat("/proc/self/stat");
  std::string line;
  std::getline(stat, line);
  std::istringstream fields(line.substr(line.rfind(')') + 1));  // after the name, which may contain anything
  std::string skipped;
  for (int k = 0; k < 6; ++k) fields >> skipped;
  unsigned long flags = 0;
  fields >> flags;
  constexpr unsigned long fork_no_exec = 0x40;  // PF_FORKNOEXEC
  return (flags & fork_no_exec) != 0;
}

// A process forked before this library was loaded: OpenMP may still wait for the parent's threads. Then ending its
// threads would hang.
std::atomic<bool> forked_unseen{forked_without_exec()};

void before_fork() {
  ready_to_fork = openmp_level() == 0 && (kept_threads > 1 || !forked_unseen);
  if (!ready_to_fork) return;
  end_openmp_threads();
  kept_threads = 1;
  forked_unseen = false;
}

void in_forked_child() {
  threads_in_use = own_threads;
  if (!ready_to_fork) serial_only = true;
}

[[noreturn]] void wait_for_the_end() {
  for (;;) pause();
}

// At the end of the process OpenMP and OpenBLAS free what they have, even if a daemon thread of Python still computes.
// So running calls may finish until their next check, and no new call begins. A library's destructors run before those
// of the libraries that it needs, so this runs before theirs.
[[gnu::destructor]] void close_grants() {
  closed = true;
  constexpr int most_milliseconds = 2000;  // a call checks much more often
  for (int waited = 0; threads_in_use > own_threads && waited < most_milliseconds; ++waited) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void* wait_to_end(void* end) {
  while (!static_cast<std::atomic<bool>*>(end)->load(std::memory_order_acquire)) sched_yield();
  return nullptr;
}

// Returns how many of `wanted` threads can run at once, by starting those beyond the `there` that exist.
int most_that_start(int wanted, int there) {
  pthread_t threads[most_threads];
  std::atomic<bool> end{false};
  int started = there;
  while (started < wanted && pthread_create(&threads[started], nullptr, &wait_to_end, &end) == 0) ++started;
  end.store(true, std::memory_order_release);
  for (int k = there; k < started; ++k) pthread_join(threads[k], nullptr);
  return started;
}

// OpenMP ends the process if it can't start a thread. So this first tries whether the system can start them; fewer
// threads compute the same bits.
int startable(int wanted) {
  const int there = openmp_level() > 0 ? 1 : kept_threads;
  return wanted > there ? most_that_start(wanted, there) : wanted;
}

[[maybe_unused]] const int registered = pthread_atfork(before_fork, nullptr, in_forked_child);

}  // namespace

ThreadBudget::ThreadBudget(int wanted, Interruption& interruption) : nested_(own_threads > 0) {
  if (nested_) {
    granted_ = 1;
    return;
  }
  CancellationPoll poll(interruption, /*asks=*/true);
  wanted = serial_only || wanted <= 1 ? 1 : startable(std::min(wanted, most_threads));
  int in_use = threads_in_use;
  while (granted_ == 0) {
    const int granted = std::min(wanted, most_threads - in_use);
    if (granted < 1) {
      if (poll.cancelled_after_pause()) return;
      // sched_yield() among most_threads others could take a second; a sleeping thread wakes up soon.
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      in_use = threads_in_use;
    } else if (threads_in_use.compare_exchange_weak(in_use, in_use + granted)) {
      granted_ = granted;
    }
  }
  if (closed) {
    threads_in_use -= granted_;
    wait_for_the_end();
  }
  own_threads = last_threads_granted = granted_;
}

int ThreadBudget::last_threads() { return last_threads_granted; }

void ThreadBudget::opened(int threads) { kept_threads = openmp_level() > 1 ? 1 : threads; }

ThreadBudget::~ThreadBudget() {
  if (nested_ || granted_ == 0) return;
  threads_in_use -= granted_;
  own_threads = 0;
}

}  // namespace lstm_native
