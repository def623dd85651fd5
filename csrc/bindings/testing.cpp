// bindings: parts of the core by themselves, for tests.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <stdexcept>
#include <string>

#include "bindings/computation.hpp"
#include "bindings/register.hpp"
#include "common/float_control.hpp"
#include "common/fork_aware_lock.hpp"
#include "kernels/dispatch.hpp"
#include "rng/philox.hpp"

namespace py = pybind11;

namespace lstm_native::bindings {
namespace {

template <class Real>
const kernels::KernelsOf<Real>& kernels_of(const kernels::KernelTable& table);
template <>
const kernels::KernelsOf<float>& kernels_of(const kernels::KernelTable& table) {
  return table.float32;
}
template <>
const kernels::KernelsOf<double>& kernels_of(const kernels::KernelTable& table) {
  return table.float64;
}

template <class Real>
void define_activation(py::module_& module, const char* name,
                       void (*kernels::KernelsOf<Real>::*activation)(const Real*, Real*, index_t)) {
  using Array = py::array_t<Real, py::array::c_style>;
  module.def(
      name,
      [activation](const Array& in, const std::string& isa) {
        const auto function = kernels_of<Real>(kernels::find(isa)).*activation;
        Array out(in.size());
        const Real* from = in.data();
        Real* to = out.mutable_data();
        const index_t count = in.size();
        const py::gil_scoped_release release;
        function(from, to, count);
        return out;
      },
      py::arg("values").noconvert(), py::arg("isa"));
}

}  // namespace

void register_testing(py::module_& module) {
  py::module_ testing = module.def_submodule("testing", "Parts of the core by themselves, for the project's tests.");
  define_activation<float>(testing, "sigmoid", &kernels::KernelsOf<float>::sigmoid);
  define_activation<double>(testing, "sigmoid", &kernels::KernelsOf<double>::sigmoid);
  define_activation<float>(testing, "tanh", &kernels::KernelsOf<float>::tanh);
  define_activation<double>(testing, "tanh", &kernels::KernelsOf<double>::tanh);
  testing.def(
      "float_control", [] { return FloatControl::get(); },
      "The floating-point unit's settings of the calling thread, as the CPU has them.");
  testing.def(
      "set_hook", &set_hook, py::arg("hook"),
      "hook(place, work) then runs wherever a call that this thread makes could be cancelled, and cancels it by "
      "raising. None: no hook.");
  py::class_<ForkAwareLock>(testing, "ForkAwareLock")
      .def(py::init())
      .def("lock", &ForkAwareLock::lock, py::call_guard<py::gil_scoped_release>())
      .def("unlock", &ForkAwareLock::unlock);
  register_testing_products(testing);
  register_testing_team(testing);
  testing.def("philox4x32_10", &rng::philox4x32_10, py::arg("counter"), py::arg("key_low"), py::arg("key_high"));
}

}  // namespace lstm_native::bindings
