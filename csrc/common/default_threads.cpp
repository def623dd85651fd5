#include "common/default_threads.hpp"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

#include "common/team.hpp"

namespace lstm_native {
namespace {

std::atomic<int> chosen{0};
std::atomic<int> fallback{1};

// What OpenMP was told at first (OMP_NUM_THREADS, or the machine's cores) is no limit: our own setting may be above it.
// Nothing tells a limit of just that number from none.
int openmp_threads_at_first = 0;

}  // namespace

int default_threads() {
  const int wanted = chosen;
  const int threads = wanted != 0 ? wanted : fallback.load();
  const int allowed = openmp_threads();
  return allowed != openmp_threads_at_first ? std::min(threads, allowed) : threads;
}

void find_openmp_threads() {
  int found = openmp_threads();
  try {  // a new thread has been told nothing else
    std::thread([&found] { found = openmp_threads(); }).join();
  } catch (const std::system_error&) {  // there is none to be had
  }
  openmp_threads_at_first = found;
}

void choose_threads(int threads) { chosen = threads; }
void set_fallback_threads(int threads) { fallback = threads; }

}  // namespace lstm_native
