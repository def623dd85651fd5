#include <sched.h>

#include <utility>

#include "common/team.hpp"

namespace lstm_native {
namespace {

// Some 100 us on a 3 GHz machine: longer than the threads of one step ever drift apart while each has its core.
// Yielding brought the 99th percentile of a call beside a competing process from 93 to 7 ms (two cores of an Ice Lake
// Xeon).
constexpr int spins_before_yielding = 10'000;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

thread_local TeamTimes::Clock::duration long_waits{0};

// Waits until holds() is true. False: cancelled.
template <class Condition>
bool yield_until(const Condition& holds, CancellationPoll& poll) {
  while (!holds()) {
    if (poll.cancelled_after_pause()) return false;
    sched_yield();
  }
  return true;
}

// The same for a wait that is usually short.
template <class Condition>
bool spin_until(const Condition& holds, CancellationPoll& poll) {
  for (int spins = 0; spins < spins_before_yielding; ++spins) {
    if (holds()) return true;
    if (poll.cancelled(0)) return false;
    pause();
  }
  const auto begin = TeamTimes::Clock::now();
  const bool goes_on = yield_until(holds, poll);
  long_waits += TeamTimes::Clock::now() - begin;
  return goes_on;
}

}  // namespace

TeamTimes::Clock::duration take_long_waits() { return std::exchange(long_waits, TeamTimes::Clock::duration{0}); }

bool Barrier::wait_for_others(int members, CancellationPoll& poll) {
  const unsigned phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return !poll.cancelled(0);
  }
  return spin_until([&] { return phase_.load(std::memory_order_acquire) != phase; }, poll);
}

bool Progress::wait_for(index_t wanted, CancellationPoll& poll) const {
  return spin_until([&] { return done_.load(std::memory_order_acquire) >= wanted; }, poll);
}

}  // namespace lstm_native
