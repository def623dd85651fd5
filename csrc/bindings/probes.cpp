// bindings: probes of the machine's limits, with the kernels of one instruction set: multiply-adds in registers, and
// reading an array.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "bindings/register.hpp"
#include "kernels/dispatch.hpp"
#include "plan/plan.hpp"

namespace py = pybind11;

namespace lstm_native::bindings {
namespace {

index_t multiply_adds(index_t rounds, const std::string& isa, const std::string& format) {
  const kernels::KernelTable& table = kernels::find(isa);
  const auto& of_format = table.float32.formats[plan::format_named(table, Dtype::float32, format)];
  const py::gil_scoped_release release;
  [[maybe_unused]] volatile const float result = of_format.multiply(rounds);
  return rounds * 2 * kernels::probe_accumulators * table.vector_bytes / static_cast<index_t>(sizeof(float)) *
         of_format.format.columns_at_once;
}

float read(const py::array_t<float, py::array::c_style>& array, index_t rounds, const std::string& isa) {
  const kernels::KernelTable& table = kernels::find(isa);
  constexpr index_t whole = 256;
  if (array.size() % whole != 0) throw std::invalid_argument("array: a multiple of 256 elements is needed");
  const float* from = array.data();
  const index_t count = array.size();
  const py::gil_scoped_release release;
  float sum = 0.0F;
  for (index_t round = 0; round < rounds; ++round) sum += table.read(from, count);
  return sum;
}

// Of the first, second and third level; 0: unknown.
std::vector<long> cache_bytes() {
#ifdef _SC_LEVEL1_DCACHE_SIZE
  return {sysconf(_SC_LEVEL1_DCACHE_SIZE), sysconf(_SC_LEVEL2_CACHE_SIZE), sysconf(_SC_LEVEL3_CACHE_SIZE)};
#else
  return {0, 0, 0};
#endif
}

}  // namespace

void register_probes(py::module_& module) {
  using namespace py::literals;
  module.def("probe_multiply_adds", &multiply_adds, "rounds"_a, "isa"_a, "format"_a = "native",
             "Does rounds of a format's multiply-adds on all accumulators; returns the operations done.");
  module.def("probe_read", &read, py::arg("array").noconvert(), "rounds"_a, "isa"_a,
             "Reads the whole array `rounds` times; returns the sum of its elements over all rounds.");
  module.def("cache_bytes", &cache_bytes, "The sizes of the L1 data, L2 and L3 caches; 0 or less: unknown.");
}

}  // namespace lstm_native::bindings
