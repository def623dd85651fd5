// common: the number of threads of a call without num_threads=: a setting of the process.
#pragma once

namespace lstm_native {

// The chosen number, or else the fallback. A limit on OpenMP in the calling thread, as threadpoolctl sets it, bounds
// both, unless it equals the number of threads that OpenMP began with.
int default_threads();

void find_openmp_threads();              // at import; not while a library is loaded, since it starts a thread
void choose_threads(int threads);        // 0: the fallback
void set_fallback_threads(int threads);  // at import

}  // namespace lstm_native
