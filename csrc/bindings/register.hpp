// bindings: the families of functions that the module consists of.
#pragma once

#include <pybind11/pybind11.h>

namespace lstm_native::bindings {

void register_results(pybind11::module_& module);
void register_run(pybind11::module_& module);
void register_backward(pybind11::module_& module);
void register_sessions(pybind11::module_& module);
void register_stream(pybind11::module_& module);
void register_explain(pybind11::module_& module);
void register_weights(pybind11::module_& module);
void register_fast_path(pybind11::module_& module);
void register_operator(pybind11::module_& module);
void register_info(pybind11::module_& module);
void register_probes(pybind11::module_& module);
void register_testing(pybind11::module_& module);
void register_testing_products(pybind11::module_& testing);
void register_testing_team(pybind11::module_& testing);

}  // namespace lstm_native::bindings
