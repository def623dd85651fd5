// What tests see of the emulation: its counters, faults to inject, the last violation.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <string>

#include "cuda_runtime.h"
#include "faults.hpp"

namespace py = pybind11;

namespace lstm_native::cuda::bindings {

void register_testing(py::module_& module) {
  using cuda_emulation::machine;
  py::module_ testing = module.def_submodule("testing", "The emulated machine.");
  testing.def("counts", [] {
    const auto& seen = machine().injected;
    return std::map<std::string, long>{{"waits", seen.waits},
                                       {"barriers", seen.barriers},
                                       {"block_waits", seen.block_waits},
                                       {"launches", seen.launches},
                                       {"graph_launches", seen.graph_launches},
                                       {"products", seen.products},
                                       {"bytes_to_device", seen.bytes_to_device},
                                       {"bytes_to_host", seen.bytes_to_host}};
  });
  testing.def("live_bytes", [] { return machine().memory.live_bytes(); });
  testing.def("violation", [] { return machine().violation; });
  testing.def("reset", [] {
    machine().injected = {};
    machine().violation.clear();
    machine().devices = 1;
  });
  testing.def(
      "skip_wait", [](long k) { machine().injected.skip_wait = k; },
      "The so-manieth wait for an event from now on is left out; -1: none.");
  testing.def(
      "skip_barrier", [](long k) { machine().injected.skip_barrier = k; },
      "Every thread leaves out its barrier of this number in a launch whose blocks run at once; -1: none.");
  testing.def(
      "skip_block_wait", [](long k) { machine().injected.skip_block_wait = k; },
      "Every block leaves out its so-manieth wait for others in such a launch; -1: none.");
  testing.def(
      "fail_allocation", [](long k) { machine().injected.fail_allocation = k; },
      "The so-manieth allocation from now on fails; -1: none.");
  testing.def("set_devices", [](int count) { machine().devices = count; });
  testing.def("new_stream", [](bool blocking) {
    cudaStream_t stream = nullptr;
    const unsigned flags = blocking ? 0U : static_cast<unsigned>(cudaStreamNonBlocking);
    (void)cudaStreamCreateWithFlags(&stream, flags);
    return reinterpret_cast<std::uintptr_t>(stream);
  });
  py::module_ defined = testing.def_submodule("faults", "Code that is wrong on purpose; returns the error's code.");
#define LSTM_NATIVE_DEFINE(name) defined.def(#name, &faults::name);
  LSTM_NATIVE_CUDA_FAULTS(LSTM_NATIVE_DEFINE)
#undef LSTM_NATIVE_DEFINE
}

}  // namespace lstm_native::cuda::bindings
