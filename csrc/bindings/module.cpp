// bindings: the extension module's surface.
#include "bindings/arrays.hpp"
#include "bindings/computation.hpp"
#include "bindings/register.hpp"
#include "common/default_threads.hpp"
#include "kernels/dispatch.hpp"

// Safe without the GIL: what calls share is atomic, locked or immutable, and a Stream refuses a second thread.
PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used(), pybind11::multiple_interpreters::not_supported()) {
  module.doc() = "lstm_native's C++ core. Private: use the functions of lstm_native.";
  lstm_native::kernels::in_use();  // so that a forced ISA that can't run fails at import
  lstm_native::find_openmp_threads();
  lstm_native::bindings::find_main_thread();
  lstm_native::bindings::find_numpy();
  lstm_native::bindings::register_results(module);
  lstm_native::bindings::register_weights(module);
  lstm_native::bindings::register_fast_path(module);
  lstm_native::bindings::register_operator(module);
  lstm_native::bindings::register_run(module);
  lstm_native::bindings::register_backward(module);
  lstm_native::bindings::register_sessions(module);
  lstm_native::bindings::register_stream(module);
  lstm_native::bindings::register_explain(module);
  lstm_native::bindings::register_info(module);
  lstm_native::bindings::register_probes(module);
  lstm_native::bindings::register_testing(module);
}
