// cuda/bindings: DLPack capsules, in and out.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "common/types.hpp"
#include "cuda/bindings/register.hpp"

namespace py = pybind11;

namespace lstm_native::cuda::bindings {
namespace {

// The structures that DLPack defines (https://dmlc.github.io/dlpack/latest/c_api.html), unversioned.
struct DLTensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t ndim;
  std::uint8_t type_code, type_bits;
  std::uint16_t type_lanes;
  std::int64_t* shape;
  std::int64_t* strides;  // elements; null: C order
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
constexpr const char* fresh_name = "dltensor";
constexpr const char* used_name = "used_dltensor";
constexpr std::int32_t cuda_device = 2;
constexpr std::uint8_t float_type = 2;

struct Exported {
  DLManagedTensor managed;
  std::vector<std::int64_t> shape, strides;
  py::object owner;
};

void drop_exported(DLManagedTensor* managed) {
  const py::gil_scoped_acquire acquire;
  delete static_cast<Exported*>(managed->context);
}

void drop_unused(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, fresh_name) == 0) return;  // a consumer has taken the tensor
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, fresh_name));
  managed->deleter(managed);
}

// owner: kept until the consumer is done.
py::object to_dlpack(py::object owner, std::uintptr_t pointer, std::vector<std::int64_t> shape,
                     std::vector<std::int64_t> strides, int element_bytes, int device) {
  auto exported = std::make_unique<Exported>();
  exported->shape = std::move(shape);
  exported->strides = std::move(strides);
  exported->owner = std::move(owner);
  DLManagedTensor& managed = exported->managed;
  managed.tensor = {reinterpret_cast<void*>(pointer),
                    cuda_device,
                    device,
                    static_cast<std::int32_t>(exported->shape.size()),
                    float_type,
                    static_cast<std::uint8_t>(8 * element_bytes),
                    1,
                    exported->shape.data(),
                    exported->strides.data(),
                    0};
  managed.context = exported.get();
  managed.deleter = &drop_exported;
  PyObject* capsule = PyCapsule_New(&managed, fresh_name, &drop_unused);
  if (capsule == nullptr) throw py::error_already_set();
  (void)exported.release();
  return py::reinterpret_steal<py::object>(capsule);
}

// Keeps the tensor of a capsule.
class Imported {
 public:
  explicit Imported(DLManagedTensor* managed) : managed_(managed) {}
  ~Imported() {
    if (managed_->deleter != nullptr) managed_->deleter(managed_);
  }
  Imported(const Imported&) = delete;
  Imported& operator=(const Imported&) = delete;

 private:
  DLManagedTensor* managed_;
};

// owner, pointer, shape, strides in elements or None, type code, bits per element, device type, device.
py::tuple from_dlpack(const py::object& capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), fresh_name) == 0) {
    throw std::invalid_argument("expected a fresh DLPack capsule of the unversioned kind");
  }
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), fresh_name));
  if (PyCapsule_SetName(capsule.ptr(), used_name) != 0) throw py::error_already_set();
  auto owner = std::make_unique<Imported>(managed);
  const DLTensor& tensor = managed->tensor;
  const auto listed = [&](const std::int64_t* from) { return std::vector<std::int64_t>(from, from + tensor.ndim); };
  py::object strides = py::none();
  if (tensor.strides != nullptr) strides = py::cast(listed(tensor.strides));
  const auto pointer = reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset;
  return py::make_tuple(std::move(owner), pointer, listed(tensor.shape), strides, static_cast<int>(tensor.type_code),
                        static_cast<int>(tensor.type_bits) * tensor.type_lanes, tensor.device_type, tensor.device_id);
}

}  // namespace

void register_exchange(py::module_& module) {
  using namespace py::literals;
  py::class_<Imported>(module, "Imported");
  module.def("to_dlpack", &to_dlpack, "owner"_a, "pointer"_a, "shape"_a, "strides"_a, "element_bytes"_a, "device"_a);
  module.def("from_dlpack", &from_dlpack, "capsule"_a);
}

}  // namespace lstm_native::cuda::bindings
