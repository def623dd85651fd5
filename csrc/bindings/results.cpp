#include "bindings/results.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>

#include "bindings/register.hpp"
#include "bindings/safe_construction.hpp"
#include "common/checked_size.hpp"
#include "common/memory_pool.hpp"

namespace lstm_native::bindings {
namespace {

namespace py = pybind11;

// The threads that have entered a pool own its blocks, too.
struct Pool {
  std::shared_ptr<MemoryPool> blocks = std::make_shared<MemoryPool>();
};

index_t bytes_of(const std::vector<index_t>& shape, index_t element_bytes) {
  index_t bytes = element_bytes;
  for (const index_t size : shape) bytes = checked_product({bytes, size});
  return bytes;
}

// Null where NumPy allocates: the thread is in no pool, or the block is too small for one.
std::unique_ptr<PooledBuffer> pooled(const std::vector<index_t>& shape, index_t element_bytes) {
  if (current_pool() == nullptr) return nullptr;
  const index_t bytes = bytes_of(shape, element_bytes);
  return bytes < smallest_pooled_block ? nullptr : std::make_unique<PooledBuffer>(current_pool(), bytes);
}

}  // namespace

py::array new_array(const std::vector<index_t>& shape, const py::dtype& dtype) {
  std::unique_ptr<PooledBuffer> memory = pooled(shape, dtype.itemsize());
  if (memory == nullptr) return {dtype, shape};
  const py::capsule owner(memory.get(), [](void* owned) { delete static_cast<PooledBuffer*>(owned); });
  const PooledBuffer* block = memory.release();
  return {dtype, shape, block->data(), owner};
}

void register_results(py::module_& module) {
  using namespace py::literals;
  using Construction = SafeConstruction<Pool>;
  // In C++, because in Python a signal's handler could raise in the middle of entering or leaving.
  const auto enter = [](const py::object& self) {
    enter_pool(self.cast<const Pool&>().blocks);
    return self;
  };
  const auto exit = [](const Pool& pool, const py::args&) {
    if (!leave_pool(pool.blocks.get())) {
      throw std::runtime_error("MemoryPool: left by a thread that had not entered it");
    }
  };
  const auto type =
      py::class_<Pool>(module, "MemoryPool", "Blocks of memory that calls borrow.")
          .def(Construction::factory<>())
          .def_property_readonly(
              "nbytes", [](const Pool& pool) { return pool.blocks->bytes(); }, "Memory of the idle blocks, in bytes.")
          .def(
              "clear", [](const Pool& pool) { pool.blocks->clear(); }, "Frees the idle blocks.")
          .def("__enter__", enter, "Lends its blocks to the calling thread's calls, up to __exit__.")
          .def("__exit__", exit, "Ends that; RuntimeError if the thread had not entered.");
  Construction::apply(type);
  module.def("in_pool", [] { return current_pool() != nullptr; }, "Whether the calling thread has entered a pool.");
  module.def("new_array", &new_array, "shape"_a, "dtype"_a,
             "An uninitialised array, in memory of the calling thread's pool.");
}

}  // namespace lstm_native::bindings
