// cuda/bindings: the families of functions that the module consists of.
#pragma once

#include <pybind11/pybind11.h>

namespace lstm_native::cuda::bindings {

void register_memory(pybind11::module_& module);
void register_exchange(pybind11::module_& module);
void register_run(pybind11::module_& module);

}  // namespace lstm_native::cuda::bindings
