// bindings: a computation without the GIL, which a signal can end.
#pragma once

#include <pybind11/pybind11.h>

#include "common/float_control.hpp"
#include "common/interruption.hpp"

namespace lstm_native::bindings {

// Releases the GIL while the object exists, except between take() and give_up(). A daemon thread can be in the middle
// of a call when a program ends. Once the interpreter has begun to end, take() waits for ever on such a thread, as
// CPython does from 3.14 on. Older CPythons unwind the thread's stack, including Python's objects on it and frames that
// must not be unwound. The thread that ends the interpreter gets the GIL: it may call us from a finalizer.
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

// Finds Python's main thread, for all SignalWatches. Must run at import.
void find_main_thread();

// For tests: sets a function that the calling thread's calls run at each check of that thread, before they look for
// signals. Its arguments are the check's place and work; an exception from it cancels the call. None: no function.
void set_hook(const pybind11::object& hook);

// Answers the question of common/interruption.hpp. On Python's main thread it runs the handlers of signals that have
// come, and cancels the call if a handler raises, as that of Ctrl-C does. On other threads no handler runs, and the GIL
// is not taken.
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

// Calls compute `repetitions` times likewise, for benchmarks.
template <class Compute>
void repeat_without_gil(index_t repetitions, const Compute& compute) {
  without_gil([&](Interruption& interruption) {
    for (index_t k = 0; k < repetitions && !interruption.requested(); ++k) compute(interruption);
  });
}

}  // namespace lstm_native::bindings
