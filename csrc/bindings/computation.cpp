#include "bindings/computation.hpp"

#include <unistd.h>

namespace py = pybind11;

namespace lstm_native::bindings {
namespace {

bool interpreter_ends() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

[[noreturn]] void wait_for_the_end() {
  for (;;) pause();
}

}  // namespace

WithoutGil::WithoutGil() : ends_it_(interpreter_ends()), state_(PyEval_SaveThread()) {}

bool WithoutGil::lost() const { return !ends_it_ && interpreter_ends(); }

void WithoutGil::take() noexcept {
  if (lost()) wait_for_the_end();
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {  // it began to end meanwhile, and this is how the thread is to end; the handler is never left
    wait_for_the_end();
  }
}

bool SignalWatch::raised(void* signal_watch) noexcept {
  auto& self = *static_cast<SignalWatch*>(signal_watch);
  if (self.gil_.lost()) return true;  // so that the call's other threads leave
  if (!self.in_main_thread_) return false;
  self.gil_.take();
  bool ends = false;
  {
    const FloatControl control = FloatControl::as(self.callers_settings_);  // for the handlers
    ends = self.runs_handlers();
  }
  self.gil_.give_up();
  return ends;
}

bool SignalWatch::runs_handlers() {
  try {
    if (PyErr_CheckSignals() != 0) return true;
    if (!asked_) in_main_thread_ = is_in_main_thread();
    asked_ = true;
    return false;
  } catch (py::error_already_set& error) {  // a signal can come at any moment in which Python's own code runs
    error.restore();
  } catch (...) {
    if (gil_.lost()) wait_for_the_end();  // see take()
    PyErr_NoMemory();
  }
  return true;
}

bool SignalWatch::is_in_main_thread() {
  const auto threading = py::module_::import("threading");
  return threading.attr("current_thread")().is(threading.attr("main_thread")());
}

}  // namespace lstm_native::bindings
