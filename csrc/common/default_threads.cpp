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

// The number that OpenMP began with (OMP_NUM_THREADS, or the machine's cores). It is not a limit: our own setting may
// exceed it. A limit of the same number can't be told from it.
int openmp_threads_at_first = 0;

}  // namespace

int default_threads() {
  const int wanted = chosen;
  const int threads = wanted != 0 ? wanted : fallback.load();
  const int allowed = openmp_threads();
  return allowed != openmp_threads_at_first ? std::min(threads, allowed) : threads;
}

void find_openmp_threads() {
  int found = 0;
  try {  // in a new thread no limit has been set
    std::thread([&found] { found = openmp_threads(); }).join();
  } catch (const std::system_error&) {  // the system starts no thread
    found = openmp_threads();
  }
  openmp_threads_at_first = found;
}

void choose_threads(int threads) { chosen = threads; }
void set_fallback_threads(int threads) { fallback = threads; }

}  // namespace lstm_native
