// common: the threads of one call, and how they wait for each other. The only file that knows OpenMP; thread counts
// travel as arguments (num_threads clauses), so that no call changes OpenMP's settings.
#pragma once

#include <algorithm>
#include <atomic>

#include "common/aligned_buffer.hpp"
#include "common/float_control.hpp"
#include "common/interruption.hpp"
#include "common/team_sizer.hpp"
#include "common/thread_budget.hpp"
#include "common/types.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace lstm_native {

#ifdef _OPENMP
inline constexpr int openmp_version = _OPENMP;
#else
inline constexpr int openmp_version = 0;
#endif

// Returns how long the calling thread has waited at barriers and for progress since the last call of this function.
// Short waits do not count: running threads drift apart by as much.
TeamTimes::Clock::duration take_long_waits();

// Threads wait until `members` of them have arrived. A thread spins at first, because a step takes microseconds; then
// it yields, because the thread that it waits for may have lost its core to another process. If the call is cancelled,
// wait() returns false before the others have arrived, and the barrier must be reset before its next use.
class alignas(cache_line_bytes) Barrier {
 public:
  bool wait(int members, CancellationPoll& poll) { return members == 1 || wait_for_others(members, poll); }
  void reset() { arrived_.store(0, std::memory_order_relaxed); }

 private:
  bool wait_for_others(int members, CancellationPoll& poll);

  std::atomic<int> arrived_{0};
  std::atomic<unsigned> phase_{0};
};

// Reports how far one thread has come, to a thread that waits for it.
class alignas(cache_line_bytes) Progress {
 public:
  void reset() { done_.store(0, std::memory_order_relaxed); }
  void report(index_t done) { done_.store(done, std::memory_order_release); }
  bool wait_for(index_t wanted, CancellationPoll& poll) const;  // false: cancelled

 private:
  std::atomic<index_t> done_{0};
};

// One of the threads of a call: 0 <= index < size.
struct Team {
  int index;
  int size;
};

// The threads that OpenMP gives to a region without num_threads. Other code in the process may have set them.
inline int openmp_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

// How many parallel regions the calling thread is in: ours and those of other libraries.
inline int openmp_level() {
#ifdef _OPENMP
  return omp_get_level();
#else
  return 0;
#endif
}

// Ends the threads that OpenMP keeps for the calling thread's next region, which then gets new ones. Must not be called
// in a region.
inline void end_openmp_threads() {
#ifdef _OPENMP
  // All devices: to name the host as the only one, GCC's runtime would load the plugins of all others.
  omp_pause_resource_all(omp_pause_soft);
#endif
}

// The times of one parallel region, for the sizer of the thread that opens it.
class RegionTimes {
 public:
  void started(const Team& team) {
    take_long_waits();  // on every thread: its first use allocates the thread's variables
    if (team.index == 0) {
      threads_ = team.size;
      return;
    }
    const Ticks now = ticks();
    Ticks last = last_start_.load(std::memory_order_relaxed);
    while (last < now && !last_start_.compare_exchange_weak(last, now, std::memory_order_relaxed)) {
    }
  }
  void body_ended(const Team& team) {
    if (team.index == 0) times_.body_end = TeamTimes::Clock::now();
  }
  // Must be called after the region.
  void report_to(TeamSizer& sizer) {
    times_.close = TeamTimes::Clock::now();
    times_.last_start = std::max(times_.open, TeamTimes::Clock::time_point{TeamTimes::Clock::duration{last_start_}});
    times_.barrier_waits = take_long_waits();
    if (threads_ > 1) sizer.ended(threads_, times_);
  }

 private:
  using Ticks = TeamTimes::Clock::rep;
  static Ticks ticks() { return TeamTimes::Clock::now().time_since_epoch().count(); }

  TeamTimes times_{TeamTimes::Clock::now(), {}, {}, {}, {}};
  std::atomic<Ticks> last_start_{0};
  int threads_ = 1;
};

// Calls body(Team) on at most `threads` threads at once; index 0 is the calling thread. body must not throw. If the
// call is cancelled before it has a thread, body is not called.
template <class Body>
void with_team(int threads, Interruption& interruption, const Body& body) {
  TeamSizer* sizer = threads > 1 && adapts_threads() ? &team_sizer() : nullptr;
  if (sizer != nullptr) threads = sizer->threads_for(threads, TeamTimes::Clock::now());
  const ThreadBudget budget(threads, interruption);
  if (budget.threads() == 0) return;
  const bool flush = flushes_subnormals();
#ifdef _OPENMP
  if (budget.threads() > 1) {
    RegionTimes times;
#pragma omp parallel num_threads(budget.threads())
    {
      const Team team{omp_get_thread_num(), omp_get_num_threads()};
      times.started(team);
      const FloatControl control(flush);
      if (team.index == 0) ThreadBudget::opened(team.size);
      body(team);
      times.body_ended(team);
    }
    if (sizer != nullptr) times.report_to(*sizer);
    return;
  }
#endif
  const FloatControl control(flush);
  body(Team{0, 1});
}

}  // namespace lstm_native
