// Tries every kernel that this CPU can run, without Python: for machines that are emulated.
#include <cstdio>

#include "check.hpp"
#include "kernels/dispatch.hpp"

int main() {
  using namespace lstm_native;
  int failed = 0;
  int done = 0;
  const auto finish = [&](const char* what, const tests::Checks& checks) {
    std::printf("%-8s %5d checks, %d failed\n", what, checks.done(), checks.failed());
    failed += checks.failed();
    done += checks.done();
  };
  for (const kernels::Implementation& implementation : kernels::built()) {
    if (!implementation.supported) continue;
    tests::Checks checks(implementation.table->isa);
    tests::check_forward<float>(*implementation.table, checks);
    tests::check_forward<double>(*implementation.table, checks);
    tests::check_backward<float>(*implementation.table, checks);
    tests::check_backward<double>(*implementation.table, checks);
    tests::check_passes<float>(*implementation.table, checks);
    tests::check_passes<double>(*implementation.table, checks);
    finish(implementation.table->isa, checks);
  }
  tests::Checks threads("threads");
  tests::check_interruption(threads);
  tests::check_threads(threads);
  tests::check_grants(threads);
  tests::check_lock(threads);
  tests::check_flushing(threads);
  finish("threads", threads);
  return failed == 0 && done > 0 ? 0 : 1;
}
