#include "common/team_sizer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <utility>

namespace lstm_native {
namespace {

std::atomic<bool> adapts{true};

std::atomic<int> pretended{0};

// /proc/loadavg: three averages, then "runnable/all". The file is opened at each look, because forked processes would
// inherit an open descriptor.
int runnable_tasks() {
  const int count = pretended.load(std::memory_order_relaxed);
  if (count > 0) return count;
  const int file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[128];
  const ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return 0;
  text[length] = '\0';
  int runnable = 0;
  return std::sscanf(text, "%*s %*s %*s %d/", &runnable) == 1 ? runnable : 0;
}

}  // namespace

TeamTimes::Clock::duration TeamTimes::waited() const {
  return std::max(last_start - open, close - body_end + barrier_waits);
}

int TeamSizer::threads_for(int wanted, Clock::time_point now) {
  if (wanted <= 1) return 1;
  if (!looked_ || now >= next_look_) look(now);
  return now < pause_end_ ? 1 : std::min(wanted, free_cores_);
}

void TeamSizer::look(Clock::time_point now) {
  const bool first = !std::exchange(looked_, true);
  const int runnable = count_runnable_();
  const int spinning = now - last_close_ < idle_spin ? last_threads_ - 1 : 0;
  const int others = runnable - 1 - spinning;
  if (others <= 0) {
    free_cores_ = cores_;
    busy_interval_ = Clock::duration{0};
    next_look_ = now + look_interval;
    return;
  }
  const bool seen_before = busy_interval_ > Clock::duration{0};
  // A task that is seen for the first time may be gone at the next call.
  if (first || seen_before) free_cores_ = std::max(1, cores_ - others);
  next_look_ = now + busy_interval_;
  busy_interval_ = std::clamp<Clock::duration>(2 * busy_interval_, first_busy_interval, longest_busy_interval);
}

void TeamSizer::ended(int threads, const TeamTimes& times) {
  const bool started_threads = threads > std::exchange(last_threads_, threads);
  last_close_ = times.close;
  if (started_threads) return;  // starting them takes milliseconds, once
  const Clock::duration waited = times.waited();
  // A call takes work / threads where all its threads run, and work on one thread.
  const bool late = waited * threads > (times.close - times.open) * (threads - 1);
  if (!late) {
    late_before_ = false;
    pause_ = Clock::duration{0};
    return;
  }
  // A thread that slept through this call is awake at the next one.
  late_before_ = !late_before_ && waited < longest_awakening;
  if (late_before_) return;
  pause_ = std::min<Clock::duration>(std::max(2 * pause_, pause_per_wait * waited), longest_pause);
  pause_end_ = times.close + pause_;
}

TeamSizer& team_sizer() {
  static const int cores = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  static thread_local TeamSizer sizer(cores, &runnable_tasks);
  return sizer;
}

bool adapts_threads() { return adapts.load(std::memory_order_relaxed); }
void set_adapts_threads(bool wanted) { adapts.store(wanted, std::memory_order_relaxed); }

void pretend_runnable_tasks(int count) { pretended.store(count, std::memory_order_relaxed); }

}  // namespace lstm_native
