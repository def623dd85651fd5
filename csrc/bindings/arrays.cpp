#include "bindings/arrays.hpp"

#include <stdexcept>
#include <string>

namespace lstm_native::bindings {
namespace {

PyTypeObject* ndarray = nullptr;  // numpy.ndarray

[[noreturn]] void refuse(const char* name, const std::string& reason) {
  throw std::invalid_argument(std::string(name) + ": " + reason);
}

}  // namespace

py::array array_of(py::handle object, const char* name) {
  if (Py_TYPE(object.ptr()) != ndarray) refuse(name, "expected a numpy.ndarray");
  return py::reinterpret_borrow<py::array>(object);
}

Dtype dtype_of_array(const py::array& array, const char* name) {
  if (holds<float>(array)) return Dtype::float32;
  if (holds<double>(array)) return Dtype::float64;
  refuse(name, "unexpected dtype");
}

template <class Real>
void require_array(const py::array& array, std::initializer_list<index_t> shape, const char* name) {
  if (!holds<Real>(array)) refuse(name, "unexpected dtype");
  if (array.ndim() != static_cast<index_t>(shape.size())) refuse(name, "unexpected number of dimensions");
  index_t axis = 0;
  for (const index_t size : shape) {
    if (array.shape(axis) != size) {
      refuse(name, "axis " + std::to_string(axis) + " should have size " + std::to_string(size) + ", has " +
                       std::to_string(array.shape(axis)));
    }
    // The strides of an empty array, or of an axis of size 1, are never used, so NumPy lets them be anything.
    if (size > 1 && array.size() > 0 && array.strides(axis) % static_cast<index_t>(sizeof(Real)) != 0) {
      refuse(name, "strides that split an element");
    }
    ++axis;
  }
  if (array.size() > 0 && reinterpret_cast<std::uintptr_t>(array.data()) % alignof(Real) != 0) {
    refuse(name, "not aligned");
  }
}

template <class Real>
Real* require_output(py::array& array, std::initializer_list<index_t> shape, bool contiguous, const char* name) {
  require_array<Real>(array, shape, name);
  if (contiguous && (array.flags() & py::array::c_style) == 0) refuse(name, "must be contiguous");
  return static_cast<Real*>(array.mutable_data());  // throws where the array is read-only
}

template <class Real>
void require_contiguous_rows(const py::array& array, const char* name) {
  const index_t last = array.ndim() - 1;
  const bool unused = array.size() == 0 || array.shape(last) == 1;
  if (!unused && stride_of<Real>(array, last) != 1) refuse(name, "rows must be contiguous");
}

template <class Real>
MatrixView<const Real> matrix_view(const py::array& array, index_t rows, index_t columns, const char* name) {
  require_array<Real>(array, {rows, columns}, name);
  // The stride of an axis of size 1 is never used and may be anything; here it becomes what it would be in C order.
  const index_t row_stride = rows == 1 ? columns : stride_of<Real>(array, 0);
  const index_t column_stride = columns == 1 ? 1 : stride_of<Real>(array, 1);
  return {read_only<Real>(array), rows, columns, row_stride, column_stride};
}

template <class Real>
VectorView<const Real> optional_vector_view(const py::object& object, index_t count, const char* name) {
  if (object.is_none()) return {};
  const py::array array = array_of(object, name);
  require_array<Real>(array, {count}, name);
  return {read_only<Real>(array), stride_of<Real>(array, 0)};
}

template <class Real>
const Real* optional_contiguous_vector(py::object& object, index_t count, const char* name) {
  if (object.is_none()) return nullptr;
  if (optional_vector_view<Real>(object, count, name).stride != 1) {
    object = py::array_t<Real, py::array::c_style | py::array::forcecast>(object);  // throws where memory is short
  }
  return optional_vector_view<Real>(object, count, name).data;
}

template <class Real>
StateView<const Real> state_view(const py::array& array, index_t states, index_t batch, index_t units,
                                 const char* name) {
  require_array<Real>(array, {states, batch, units}, name);
  require_contiguous_rows<Real>(array, name);
  return {read_only<Real>(array), stride_of<Real>(array, 0), stride_of<Real>(array, 1), 1};
}

void find_numpy() {
  ndarray = reinterpret_cast<PyTypeObject*>(py::object(py::module_::import("numpy").attr("ndarray")).release().ptr());
  (void)py::isinstance<py::array>(py::none());  // looks up NumPy's functions for pybind11
}

template <class Real>
const Real* usual_array(py::handle object, std::initializer_list<index_t> shape) {
  if (Py_TYPE(object.ptr()) != ndarray) return nullptr;
  if (!py::isinstance<py::array_t<Real, py::array::c_style>>(object)) return nullptr;
  const auto array = py::reinterpret_borrow<py::array>(object);
  if (array.ndim() != static_cast<index_t>(shape.size())) return nullptr;
  index_t axis = 0;
  for (const index_t size : shape) {
    if (array.shape(axis++) != size) return nullptr;
  }
  const auto* data = static_cast<const Real*>(array.data());
  return reinterpret_cast<std::uintptr_t>(data) % alignof(Real) == 0 ? data : nullptr;
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                  \
  template void require_array<Real>(const py::array&, std::initializer_list<index_t>, const char*);    \
  template const Real* usual_array<Real>(py::handle, std::initializer_list<index_t>);                  \
  template void require_contiguous_rows<Real>(const py::array&, const char*);                          \
  template Real* require_output<Real>(py::array&, std::initializer_list<index_t>, bool, const char*);  \
  template MatrixView<const Real> matrix_view<Real>(const py::array&, index_t, index_t, const char*);  \
  template const Real* optional_contiguous_vector<Real>(py::object&, index_t, const char*);            \
  template VectorView<const Real> optional_vector_view<Real>(const py::object&, index_t, const char*); \
  template StateView<const Real> state_view<Real>(const py::array&, index_t, index_t, index_t, const char*);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE
template MatrixView<const std::uint16_t> matrix_view<std::uint16_t>(const py::array&, index_t, index_t, const char*);

}  // namespace lstm_native::bindings
