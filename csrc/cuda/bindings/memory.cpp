// cuda/bindings: devices, memory on them, copies, the order of streams.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <utility>

#include "cuda/bindings/register.hpp"
#include "cuda/calls.hpp"
#include "cuda/resources.hpp"

namespace py = pybind11;

namespace lstm_native::cuda::bindings {
namespace {

cudaStream_t stream_at(std::uintptr_t handle) { return reinterpret_cast<cudaStream_t>(handle); }

// Device memory that is allocated and freed in the order of a stream: it is valid for the work that the stream is given
// while the object exists.
class Memory {
 public:
  Memory(std::size_t bytes, int device, std::uintptr_t stream) : device_(device), stream_(stream_at(stream)) {
    const py::gil_scoped_release release;
    const CurrentDevice current(device);
    if (bytes > 0) check(cudaMallocAsync(&pointer_, bytes, stream_), "cudaMallocAsync");
  }
  ~Memory() {
    if (pointer_ == nullptr) return;
    try {
      const CurrentDevice current(device_);
      (void)cudaFreeAsync(pointer_, stream_);
    } catch (...) {  // the device is lost, with its memory
    }
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::uintptr_t pointer() const { return reinterpret_cast<std::uintptr_t>(pointer_); }

 private:
  void* pointer_ = nullptr;
  int device_;
  cudaStream_t stream_;
};

// The number of devices, and why there is none.
std::pair<int, std::string> devices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return {count, ""};
  (void)cudaGetLastError();
  return {0, error == cudaSuccess ? "no device was found" : cudaGetErrorString(error)};
}

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

// The device that has this memory; -1: none.
int device_of(std::uintptr_t pointer) {
  cudaPointerAttributes attributes = {};
  const cudaError_t error = cudaPointerGetAttributes(&attributes, reinterpret_cast<const void*>(pointer));
  if (error != cudaSuccess) (void)cudaGetLastError();
  const bool is_device = attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
  return error == cudaSuccess && is_device ? attributes.device : -1;
}

void to_device(std::uintptr_t to, const py::array& from, int device, std::uintptr_t stream) {
  if ((from.flags() & py::array::c_style) == 0) throw std::invalid_argument("from: must be contiguous");
  const void* data = from.data();
  const auto bytes = static_cast<std::size_t>(from.nbytes());
  const py::gil_scoped_release release;
  const CurrentDevice current(device);
  check(cudaMemcpyAsync(reinterpret_cast<void*>(to), data, bytes, cudaMemcpyHostToDevice, stream_at(stream)),
        "cudaMemcpyAsync");
  check(cudaStreamSynchronize(stream_at(stream)), "cudaStreamSynchronize");  // `from` may change now
}

void to_host(py::array& to, std::uintptr_t from, int device, std::uintptr_t stream) {
  if ((to.flags() & py::array::c_style) == 0) throw std::invalid_argument("to: must be contiguous");
  void* data = to.mutable_data();
  const auto bytes = static_cast<std::size_t>(to.nbytes());
  const py::gil_scoped_release release;
  const CurrentDevice current(device);
  check(cudaMemcpyAsync(data, reinterpret_cast<const void*>(from), bytes, cudaMemcpyDeviceToHost, stream_at(stream)),
        "cudaMemcpyAsync");
  check(cudaStreamSynchronize(stream_at(stream)), "cudaStreamSynchronize");
}

void clear(std::uintptr_t to, std::size_t bytes, int device, std::uintptr_t stream) {
  const CurrentDevice current(device);
  check(cudaMemsetAsync(reinterpret_cast<void*>(to), 0, bytes, stream_at(stream)), "cudaMemsetAsync");
}

void order_streams(std::uintptr_t earlier, std::uintptr_t later, int device) {
  if (earlier == later) return;
  const CurrentDevice current(device);
  const Event event = make_event();
  order(stream_at(earlier), stream_at(later), event);
}

void synchronize(std::uintptr_t stream, int device) {
  const py::gil_scoped_release release;
  const CurrentDevice current(device);
  check(cudaStreamSynchronize(stream_at(stream)), "cudaStreamSynchronize");
}

std::tuple<int, int, int> versions() {
  int driver = 0;
  int runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) (void)cudaGetLastError();
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  return {LSTM_NATIVE_CUDA_TOOLKIT, runtime, driver};
}

}  // namespace

void register_memory(py::module_& module) {
  using namespace py::literals;
  py::class_<Memory>(module, "Memory")
      .def(py::init<std::size_t, int, std::uintptr_t>(), "nbytes"_a, "device"_a, "stream"_a)
      .def_property_readonly("pointer", &Memory::pointer);
  module.def("devices", &devices);
  module.def("current_device", &current_device);
  module.def("device_of", &device_of, "pointer"_a);
  module.def("to_device", &to_device, "to"_a, "from_array"_a, "device"_a, "stream"_a);
  module.def("to_host", &to_host, "to"_a, "pointer"_a, "device"_a, "stream"_a);
  module.def("clear", &clear, "pointer"_a, "nbytes"_a, "device"_a, "stream"_a);
  module.def("order_streams", &order_streams, "earlier"_a, "later"_a, "device"_a);
  module.def("synchronize", &synchronize, "stream"_a, "device"_a);
  module.def("clear_plans", &clear_plans, py::call_guard<py::gil_scoped_release>());
  module.def("plans", &idle_plans, "Idle plans, and their bytes.");
  module.def("versions", &versions, "CUDA's: of the compiler, the runtime, the driver.");
}

}  // namespace lstm_native::cuda::bindings
