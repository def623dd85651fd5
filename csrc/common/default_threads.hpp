// common: how many threads a call uses that does not say so itself: a setting of the process.
#pragma once

namespace lstm_native {

// What was chosen, else the fallback; never more than a limit that was put on OpenMP in the calling thread, as
// threadpoolctl does, unless it is the number of threads that OpenMP has anyway.
int default_threads();

void find_openmp_threads();              // at import; not while a library is loaded, since it starts a thread
void choose_threads(int threads);        // 0: the fallback
void set_fallback_threads(int threads);  // at import

}  // namespace lstm_native
