#include "bindings/computation.hpp"

namespace py = pybind11;

namespace lstm_native::bindings {

bool SignalWatch::raised(void* signal_watch) {
  auto& self = *static_cast<SignalWatch*>(signal_watch);
  if (!self.in_main_thread_) return false;
  const py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) return true;
  if (self.asked_) return false;
  self.asked_ = true;
  try {  // a signal can come at any moment in which Python's own code runs
    const auto threading = py::module_::import("threading");
    self.in_main_thread_ = threading.attr("current_thread")().is(threading.attr("main_thread")());
  } catch (py::error_already_set& error) {
    error.restore();
    return true;
  }
  return false;
}

}  // namespace lstm_native::bindings
