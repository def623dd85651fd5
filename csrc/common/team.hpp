// common: the threads of one call, and how they wait for each other. The only file that knows OpenMP; thread counts
// travel as arguments (num_threads clauses), so that no call changes OpenMP's settings.
#pragma once

#include <atomic>

#include "common/aligned_buffer.hpp"
#include "common/thread_grant.hpp"
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

// Threads that arrive wait until `members` of them have. Spins at first, since a step is a matter of microseconds, then
// yields, since a thread that others wait for may have lost its core to another process.
class alignas(cache_line_bytes) Barrier {
 public:
  void wait(int members);

 private:
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> phase_{0};
};

// How far one thread has come with something that another thread waits for.
class alignas(cache_line_bytes) Progress {
 public:
  void reset() { done_.store(0, std::memory_order_relaxed); }
  void report(index_t done) { done_.store(done, std::memory_order_release); }
  void wait_for(index_t wanted) const;

 private:
  std::atomic<index_t> done_{0};
};

// One of the threads of a call: 0 <= index < size.
struct Team {
  int index;
  int size;
};

// Calls body(Team) on each of at most `threads` threads, all at once. body must not throw.
template <class Body>
void with_team(int threads, const Body& body) {
  const ThreadGrant grant(threads);
#ifdef _OPENMP
  if (grant.threads() > 1) {
#pragma omp parallel num_threads(grant.threads())
    body(Team{omp_get_thread_num(), omp_get_num_threads()});
    return;
  }
#endif
  body(Team{0, 1});
}

}  // namespace lstm_native
