// common: the only file that knows OpenMP. Thread counts travel as arguments (num_threads clauses), so that no call
// changes OpenMP's settings.
#pragma once

#include <algorithm>

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

// Calls body(item, thread) once for each item in [0, items), on at most `threads` threads; thread < threads. Items are
// handed out as threads come free, so there may be fewer threads than asked for. body must not throw.
template <class Body>
void parallel_for(index_t items, int threads, const Body& body) {
  if (items == 0) return;
  const ThreadGrant grant(static_cast<int>(std::min<index_t>(items, threads)));
#ifdef _OPENMP
  if (grant.threads() > 1) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(grant.threads())
    for (index_t item = 0; item < items; ++item) body(item, omp_get_thread_num());
    return;
  }
#endif
  for (index_t item = 0; item < items; ++item) body(item, 0);
}

}  // namespace lstm_native
