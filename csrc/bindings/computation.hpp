// bindings: a computation without the GIL, which a signal can end.
#pragma once

#include <pybind11/pybind11.h>

#include "common/interruption.hpp"

namespace lstm_native::bindings {

// Answers the question of common/interruption.hpp: runs the handlers of signals that have come, as Python runs them in
// its main thread, and says to end where one of them raised, as that of Ctrl-C does. In other threads there is nothing
// to run, and the GIL is taken once at most.
class SignalWatch {
 public:
  static bool raised(void* signal_watch);

 private:
  bool asked_ = false;
  bool in_main_thread_ = true;
};

// Calls compute(Interruption&) without the GIL; then throws what a signal's handler raised meanwhile.
template <class Compute>
void without_gil(const Compute& compute) {
  SignalWatch signals;
  Interruption interruption(&SignalWatch::raised, &signals);
  {
    const pybind11::gil_scoped_release release;
    compute(interruption);
  }
  if (interruption.requested()) throw pybind11::error_already_set();
}

}  // namespace lstm_native::bindings
