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

// How long the calling thread has waited at barriers and for progress, beyond what threads drift apart while each has
// its core; since it was last asked.
TeamTimes::Clock::duration take_long_waits();

// Threads that arrive wait until `members` of them have. Spins at first, since a step is a matter of microseconds, then
// yields, since a thread that others wait for may have lost its core to another process. Waiting also ends where the
// call is to end: then wait() is false, the others need not have come, and the barrier is of no use until it is reset.
class alignas(cache_line_bytes) Barrier {
 public:
  bool wait(int members, Watch& watch) { return members == 1 || wait_for_others(members, watch); }
  void reset() { arrived_.store(0, std::memory_order_relaxed); }

 private:
  bool wait_for_others(int members, Watch& watch);

  std::atomic<int> arrived_{0};
  std::atomic<unsigned> phase_{0};
};

// How far one thread has come with something that another thread waits for.
class alignas(cache_line_bytes) Progress {
 public:
  void reset() { done_.store(0, std::memory_order_relaxed); }
  void report(index_t done) { done_.store(done, std::memory_order_release); }
  bool wait_for(index_t wanted, Watch& watch) const;  // false: the call is to end

 private:
  std::atomic<index_t> done_{0};
};

// One of the threads of a call: 0 <= index < size.
struct Team {
  int index;
  int size;
};

// How many threads OpenMP would give to a region that does not say; others in the process may have set it.
inline int openmp_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

// How many parallel regions, of ours or of others', the calling thread is in.
inline int openmp_level() {
#ifdef _OPENMP
  return omp_get_level();
#else
  return 0;
#endif
}

// Ends the threads that OpenMP keeps for the calling one's next region, which then gets new ones; not in a region.
inline void end_openmp_threads() {
#ifdef _OPENMP
  // Not of the host alone: to say which device that is, GCC's runtime would load those of all others.
  omp_pause_resource_all(omp_pause_soft);
#endif
}

// The times of one parallel region, for the sizer of the thread that opens it.
class RegionTimes {
 public:
  void started(const Team& team) {
    take_long_waits();  // on every thread, so that a later wait does not allocate the thread's own variables
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
  // After the region.
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

// Calls body(Team) on each of at most `threads` threads, all at once; index 0 is the calling one. body must not throw.
// Where the call is cancelled before it has a thread, body isn't called.
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
