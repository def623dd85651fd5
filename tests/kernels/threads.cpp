// What a thread has to itself: its place in a team, and how it treats subnormal numbers.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <limits>
#include <thread>

#include "check.hpp"
#include "common/float_control.hpp"
#include "common/fork_aware_lock.hpp"
#include "common/interruption.hpp"
#include "common/team.hpp"
#include "common/thread_budget.hpp"

namespace lstm_native::tests {
namespace {

// Volatile, so that each product is computed, where it stands.
template <class Real>
Real product(Real a, Real b) {
  volatile Real left = a;
  volatile Real right = b;
  volatile Real result = left * right;
  return result;
}

template <class Real>
void expect(Checks& checks, bool flushed, const std::string& where) {
  const Real smallest = std::numeric_limits<Real>::min();
  const Real subnormal = std::numeric_limits<Real>::denorm_min() * Real{64};
  const std::string type = sizeof(Real) == sizeof(float) ? " (float)" : " (double)";
  checks.that((product(subnormal, Real{1}) == Real{0}) == flushed, "a subnormal operand " + where + type);
  checks.that((product(smallest, Real{0.5}) == Real{0}) == flushed, "a subnormal result " + where + type);
  checks.that(product(smallest, Real{1}) == smallest, "the smallest normal number " + where + type);
}

void expect_both(Checks& checks, bool flushed, const std::string& where) {
  expect<float>(checks, flushed, where);
  expect<double>(checks, flushed, where);
}

}  // namespace

void check_flushing(Checks& checks) {
  // Another thread, which is there before, keeps its own setting.
  std::atomic<bool> ask{false};
  Checks of_other("another thread");
  std::thread other([&] {
    while (!ask) std::this_thread::yield();
    expect_both(of_other, false, "in another thread");
  });
  expect_both(checks, false, "before");
  {
    const FloatControl outer(/*flush=*/true);
    expect_both(checks, true, "inside");
    {
      const FloatControl inner(/*flush=*/true);
      expect_both(checks, true, "inside twice");
    }
    expect_both(checks, true, "inside again");
    {
      const FloatControl keeping(/*flush=*/false);
      expect_both(checks, false, "kept inside");
    }
    expect_both(checks, true, "inside again");
    ask = true;
    other.join();
  }
  expect_both(checks, false, "after");
  checks.that(of_other.done() > 0 && of_other.failed() == 0, "another thread's setting changed");
}

void check_interruption(Checks& checks) {
  int asked = 0;
  Interruption interruption([](void* count, const Check&) { return ++*static_cast<int*>(count) == 2; }, &asked);
  CancellationPoll poll(interruption, /*asks=*/true);
  interruption.ask({"here", 0});
  checks.that(!interruption.requested() && !poll.cancelled(0), "a cancellation without a request");
  for (int round = 0; round < 3; ++round) interruption.ask({"here", 0});
  checks.that(interruption.requested() && poll.cancelled(0), "a call that goes on although it is to end");
  checks.that(asked == 2, "a question that was asked again after a yes");
}

void check_grants(Checks& checks) {
  Interruption interruption([](void*, const Check&) { return true; }, nullptr);
  std::atomic<int> taken{0};
  std::atomic<bool> leave{false};
  std::thread other([&] {
    const ThreadBudget all(most_threads, interruption);
    {
      const ThreadBudget nested(2, interruption);  // as a signal's handler may ask for
      checks.that(nested.threads() == 1, "a nested call has " + std::to_string(nested.threads()) + " threads");
    }
    taken = all.threads();
    while (!leave) std::this_thread::yield();
  });
  while (taken == 0) std::this_thread::yield();
  const ThreadBudget rest(1, interruption);
  // The system may refuse to start that number of threads; then there is nothing to wait for.
  checks.that(rest.threads() == (taken == most_threads ? 0 : 1), "a grant where the call is to end");
  leave = true;
  other.join();
}

void check_lock(Checks& checks) {
  ForkAwareLock free;
  ForkAwareLock held;
  checks.that(free.lock() && held.lock(), "a lock without a holder");
  free.unlock();
  const pid_t child = fork();
  if (child == 0) _exit((free.lock() ? 1 : 0) + (held.lock() ? 2 : 0));
  int status = -1;
  checks.that(waitpid(child, &status, 0) == child, "a child that did not end");
  checks.that(WIFEXITED(status) && WEXITSTATUS(status) == 1, "a lock in a forked child");
  held.unlock();
  checks.that(held.lock(), "a lock that was given back");
}

void check_threads(Checks& checks) {
  set_adapts_threads(false);  // or other processes' work would decide how many there are
  constexpr int threads = 4;
  constexpr int rounds = 500;
  Barrier barrier;
  int sizes = 0;
  int numbers[threads] = {};
  bool in_step = true;
  Interruption interruption([](void*, const Check&) { return false; }, nullptr);
  with_team(threads, interruption, [&](Team team) {
    CancellationPoll poll(interruption, team.index == 0);
    for (int round = 1; round <= rounds; ++round) {
      numbers[team.index] = round;
      barrier.wait(team.size, poll);
      if (team.index == 0) {
        sizes = team.size;
        for (int k = 0; k < team.size; ++k) in_step = in_step && numbers[k] == round;
      }
      barrier.wait(team.size, poll);
    }
  });
  checks.that(sizes == (openmp_version > 0 ? threads : 1), "a team of " + std::to_string(sizes));
  checks.that(in_step, "a barrier that let a thread through early");
}

}  // namespace lstm_native::tests
