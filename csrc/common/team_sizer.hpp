// common: how many of a call's threads are likely to find a free core.
//
// A parallel region ends when its last thread does. A thread that waits for a core behind another process delays the
// call by a time slice of the scheduler: milliseconds, where a step takes microseconds. So a call gets fewer threads
// while others use the cores. Each of two observations can reduce them:
//
//   - the runnable tasks of the system, read every few milliseconds: the cores that they leave free are the limit;
//   - the time that calls waited for their threads: where it exceeds what the threads gained, the next calls run on one
//     thread for ten times as long, then on several by trial. The pause doubles with each trial that fails.
//
// The number of threads changes no bit of a result.
#pragma once

#include <chrono>

namespace lstm_native {

// The times of a parallel region's parts, measured by the thread that opened it.
struct TeamTimes {
  using Clock = std::chrono::steady_clock;
  Clock::time_point open;         // right before the region
  Clock::time_point last_start;   // the last of its threads began
  Clock::time_point body_end;     // the opening thread had done its part
  Clock::time_point close;        // right after the region
  Clock::duration barrier_waits;  // the opening thread's long waits at barriers

  // What the call would have saved if all its threads had run all the time.
  Clock::duration waited() const;
};

// The observations of one calling thread.
class TeamSizer {
 public:
  using Clock = TeamTimes::Clock;
  // The tasks of the whole system that run or wait for a core, the calling one included; 0: unknown.
  using CountRunnable = int (*)();

  // Two cores of an AMD EPYC (Zen 4), `make latency`. A look takes 3 to 5 us.
  static constexpr std::chrono::milliseconds look_interval{10};
  static constexpr std::chrono::milliseconds first_busy_interval{2};  // doubles with each busy look
  static constexpr std::chrono::milliseconds longest_busy_interval{50};
  // OpenMP's idle threads spin for 5 to 15 ms before they sleep, and are runnable meanwhile.
  static constexpr std::chrono::milliseconds idle_spin{20};
  // A thread that sleeps takes 50 to 300 us to wake up; a thread behind another process takes longer.
  static constexpr std::chrono::milliseconds longest_awakening{1};
  static constexpr int pause_per_wait = 10;
  static constexpr std::chrono::seconds longest_pause{10};

  TeamSizer(int cores, CountRunnable count_runnable) : cores_(cores), count_runnable_(count_runnable) {}

  // Returns the threads of a call that begins now, from 1 to `wanted`.
  int threads_for(int wanted, Clock::time_point now);
  // Must be called after a region of two or more threads.
  void ended(int threads, const TeamTimes& times);

 private:
  void look(Clock::time_point now);

  int cores_;
  CountRunnable count_runnable_;

  bool looked_ = false;
  int free_cores_ = 1;  // including this call's own
  Clock::time_point next_look_{};
  Clock::duration busy_interval_{0};  // 0: the last look found no others

  int last_threads_ = 1;
  Clock::time_point last_close_{};
  bool late_before_ = false;
  Clock::duration pause_{0};  // 0: the last region was in time
  Clock::time_point pause_end_{};
};

// The sizer of the calling thread.
TeamSizer& team_sizer();

// Whether calls use fewer threads while others use the cores: a setting of the process.
bool adapts_threads();
void set_adapts_threads(bool adapts);

// For tests: every look finds `count` runnable tasks; 0: it asks the system.
void pretend_runnable_tasks(int count);

}  // namespace lstm_native
