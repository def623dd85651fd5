#include "bindings/computation.hpp"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <utility>

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

std::atomic<unsigned long> main_thread{0};  // Python's identifier of its main thread

void thread_that_forked_is_main() { main_thread = PyThread_get_thread_ident(); }

// threading.main_thread() can't be asked here: it runs Python code, which an ending interpreter does not, and gevent
// replaces it. One of two tests suffices, because a check for signals on another thread finds none.
bool is_main_thread() { return PyThread_get_thread_ident() == main_thread || syscall(SYS_gettid) == getpid(); }

// The hook of the calling thread; null: none.
thread_local PyObject* hook = nullptr;

}  // namespace

void find_main_thread() {
  main_thread = py::module_::import("threading").attr("main_thread")().attr("ident").cast<unsigned long>();
  pthread_atfork(nullptr, nullptr, thread_that_forked_is_main);
}

WithoutGil::WithoutGil() : ends_it_(interpreter_ends()), state_(PyEval_SaveThread()) {}

bool WithoutGil::lost() const { return !ends_it_ && interpreter_ends(); }

void WithoutGil::take() noexcept {
  if (lost()) wait_for_the_end();
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {  // the interpreter began to end, and CPython unwinds the thread: this handler must not be left
    wait_for_the_end();
  }
}

void set_hook(const py::object& given) {
  PyObject* const before = std::exchange(hook, given.is_none() ? nullptr : given.inc_ref().ptr());
  Py_XDECREF(before);
}

Interruption::Asked SignalWatch::asked() {
  return hook != nullptr ? Interruption::Asked::at_every_check : Interruption::Asked::at_intervals;
}

// What could throw is inside runs_python, which catches it.
bool SignalWatch::raised(void* signal_watch, const Check& check) noexcept {  // NOLINT(bugprone-exception-escape)
  auto& self = *static_cast<SignalWatch*>(signal_watch);
  if (self.gil_.lost()) return true;  // so that the call's other threads leave
  if (hook == nullptr && !is_main_thread()) return false;
  self.gil_.take();
  bool ends = false;
  {
    const FloatControl control = FloatControl::as(self.callers_settings_);  // for the handlers
    ends = self.runs_python(check);
  }
  self.gil_.give_up();
  return ends;
}

bool SignalWatch::runs_python(const Check& check) {
  try {
    if (const auto own = py::reinterpret_borrow<py::object>(hook)) own(check.place, check.work);
    // Finds no signals on threads other than the main one.
    return PyErr_CheckSignals() != 0;
  } catch (py::error_already_set& error) {  // a signal can come at any moment in which Python's own code runs
    error.restore();
  } catch (...) {
    if (gil_.lost()) wait_for_the_end();  // see take()
    PyErr_NoMemory();
  }
  return true;
}

}  // namespace lstm_native::bindings
