#include "common/fork_aware_lock.hpp"

#include <pthread.h>
#include <sched.h>

namespace lstm_native {
namespace {

std::atomic<int> forks{0};

[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });

}  // namespace

bool ForkAwareLock::lock() {
  const int here = forks;
  for (;;) {
    int holder = unlocked;
    if (holder_.compare_exchange_strong(holder, here, std::memory_order_acquire)) return true;
    if (holder != here) return false;
    sched_yield();
  }
}

}  // namespace lstm_native
