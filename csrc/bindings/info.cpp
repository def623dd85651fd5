// bindings: what this build consists of, and which parts of it are in use.
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/register.hpp"
#include "blas/blas.hpp"
#include "common/default_threads.hpp"
#include "common/float_control.hpp"
#include "common/team.hpp"
#include "common/thread_budget.hpp"
#include "kernels/dispatch.hpp"

namespace py = pybind11;

namespace lstm_native::bindings {
namespace {

py::dict blas_info() {
  const blas::Library library = blas::describe();
  py::dict info;
  info["name"] = library.name;
  info["version"] = library.version;
  info["kernel"] = library.kernel;
  info["threads"] = library.threads;
  info["bundled"] = blas::bundled;
  return info;
}

py::dict isa_info() {
  std::vector<std::string> built;
  std::vector<std::string> supported;
  for (const kernels::Implementation& implementation : kernels::built()) {
    built.emplace_back(implementation.table->isa);
    if (implementation.supported) supported.emplace_back(implementation.table->isa);
  }
  py::dict info;
  py::dict variants;  // the ISA of each variant, by the variant's name
  for (const kernels::Implementation& implementation : kernels::built()) {
    const kernels::KernelTable& table = *implementation.table;
    if (table.base != std::string(table.isa)) variants[table.isa] = table.base;
  }
  info["variants"] = variants;
  info["built"] = built;
  info["supported"] = supported;
  info["in_use"] = std::string(kernels::in_use().isa);
  info["vector_bytes"] = kernels::in_use().vector_bytes;
  return info;
}

std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

}  // namespace

void register_info(py::module_& module) {
  module.def("version", [] { return std::string(LSTM_NATIVE_VERSION); });
  module.def("compiler", &compiler);
  module.def("openmp_version", [] { return openmp_version; }, "The year and month of the OpenMP standard; 0: none.");
  module.def("most_threads", [] { return most_threads; }, "How many threads of the process may compute at once.");
  module.def("default_threads", &default_threads, "Threads of a call that does not say how many.");
  module.def("choose_threads", &choose_threads, py::arg("threads"), "Their number from now on; 0: the fallback.");
  module.def("set_fallback_threads", &set_fallback_threads, py::arg("threads"));
  module.def("flushes_subnormals", &flushes_subnormals, "Whether calls count subnormal numbers as zeros.");
  module.def("set_flush_subnormals", &set_flush_subnormals, py::arg("flush"));
  module.def("adapts_threads", &adapts_threads, "Whether calls use fewer threads while others use the cores.");
  module.def("set_adapts_threads", &set_adapts_threads, py::arg("adapts"));
  module.def("blas", &blas_info);
  module.def("isa", &isa_info);
}

}  // namespace lstm_native::bindings
