// bindings: a computation without the GIL, which a signal can end.
#pragma once

#include <pybind11/pybind11.h>

#include "common/float_control.hpp"
#include "common/interruption.hpp"

namespace lstm_native::bindings {

// The calling thread's hold on the interpreter, given up for as long as the object lives but between take() and
// give_up(). A thread that wants it back once the interpreter has begun to end waits for ever, as CPython's own do from
// 3.14 on: a daemon thread can be in the middle of a call when a program ends. Older ones end such a thread by
// unwinding its stack, Python's objects on it and frames that nothing may unwind included. The thread that ends the
// interpreter gets it: it may call us from a finalizer.
class WithoutGil {
 public:
  WithoutGil();
  ~WithoutGil() { take(); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

  bool lost() const;  // the interpreter ends without this thread
  void take() noexcept;
  void give_up() noexcept { state_ = PyEval_SaveThread(); }

 private:
  bool ends_it_;
  PyThreadState* state_;
};

// Finds Python's main thread, for all SignalWatches; at import.
void find_main_thread();

// For tests: what the calling thread's calls run at every check of that thread, before they look for signals. It is
// called with the check's place and work; an exception of it cancels the call. None: nothing.
void set_hook(const pybind11::object& hook);

// Answers the question of common/interruption.hpp: runs the handlers of signals that have come, as Python runs them in
// its main thread, and cancels where one of them raised, as that of Ctrl-C does. In other threads there is nothing to
// run, and the GIL is not taken.
class SignalWatch {
 public:
  explicit SignalWatch(WithoutGil& gil) : gil_(gil) {}

  static bool raised(void* signal_watch, const Check& check) noexcept;
  static Interruption::Asked asked();

 private:
  bool runs_python(const Check& check);

  WithoutGil& gil_;
  const FloatControl::Word callers_settings_ = FloatControl::get();
};

// Calls compute(Interruption&) without the GIL; then throws what a signal's handler raised meanwhile.
template <class Compute>
void without_gil(const Compute& compute) {
  bool interrupted = false;
  {
    WithoutGil gil;
    SignalWatch signals(gil);
    Interruption interruption(&SignalWatch::raised, &signals, SignalWatch::asked());
    compute(interruption);
    interrupted = interruption.requested();
  }
  if (interrupted) throw pybind11::error_already_set();
}

// The same again and again, for benchmarks.
template <class Compute>
void repeat_without_gil(index_t repetitions, const Compute& compute) {
  without_gil([&](Interruption& interruption) {
    for (index_t k = 0; k < repetitions && !interruption.requested(); ++k) compute(interruption);
  });
}

}  // namespace lstm_native::bindings
