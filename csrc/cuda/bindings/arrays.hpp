// cuda/bindings: device arrays of Python to views. Messages for people come from the Python layer; these checks only
// catch what it let through. Whether memory is as large as an array says can't be checked.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "common/types.hpp"
#include "common/views.hpp"

namespace lstm_native::cuda::bindings {

namespace py = pybind11;

// The attributes of an lstm_native._device.BorrowedArray.
struct Array {
  std::uintptr_t address = 0;
  std::vector<index_t> shape;
  std::vector<index_t> strides;  // elements
  index_t element_bytes = 0;

  static Array of(const py::handle& object, const char* name) {
    Array array;
    array.address = object.attr("pointer").cast<std::uintptr_t>();
    array.element_bytes = object.attr("itemsize").cast<index_t>();
    for (const py::handle size : object.attr("shape")) array.shape.push_back(size.cast<index_t>());
    for (const py::handle stride : object.attr("strides")) {
      const auto bytes = stride.cast<index_t>();
      if (array.element_bytes == 0 || bytes % array.element_bytes != 0) refuse(name, "strides that split an element");
      array.strides.push_back(bytes / array.element_bytes);
    }
    if (array.strides.size() != array.shape.size()) refuse(name, "a stride is needed per axis");
    if (array.address % static_cast<std::uintptr_t>(array.element_bytes) != 0) refuse(name, "not aligned");
    return array;
  }

  [[noreturn]] static void refuse(const char* name, const std::string& reason) {
    throw std::invalid_argument(std::string(name) + ": " + reason);
  }

  template <class Real>
  Real* require(const std::vector<index_t>& expected, const char* name) const {
    if (element_bytes != static_cast<index_t>(sizeof(Real))) refuse(name, "unexpected dtype");
    if (shape != expected) refuse(name, "unexpected shape");
    return reinterpret_cast<Real*>(address);
  }

  bool without_gaps() const {
    index_t expected = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (shape[axis] > 1 && strides[axis] != expected) return false;
      expected *= shape[axis];
    }
    return true;
  }
  Array transposed() const {
    Array array = *this;
    array.shape = {shape.rbegin(), shape.rend()};
    array.strides = {strides.rbegin(), strides.rend()};
    return array;
  }
};

template <class Real>
SequenceView<Real> sequence(const Array& a, const std::vector<index_t>& shape, const char* name) {
  Real* data = a.require<std::remove_const_t<Real>>(shape, name);
  if (shape.size() == 2) return {data, 0, a.strides[0], a.strides[1]};
  return {data, a.strides[0], a.strides[1], a.strides[2]};
}

template <class Real>
StateView<Real> state(const Array& a, const std::vector<index_t>& shape, const char* name) {
  return {a.require<std::remove_const_t<Real>>(shape, name), a.strides[0], a.strides[1], a.strides[2]};
}

template <class Real>
MatrixView<Real> matrix(const Array& a, index_t rows, index_t columns, const char* name) {
  return {a.require<std::remove_const_t<Real>>({rows, columns}, name), rows, columns, a.strides[0], a.strides[1]};
}

template <class Real>
VectorView<Real> vector(const py::object& object, index_t count, const char* name) {
  if (object.is_none()) return {};
  const Array a = Array::of(object, name);
  return {a.require<std::remove_const_t<Real>>({count}, name), a.strides[0]};
}

// A vector, or a matrix in C order or its transpose, with no element left out.
inline void require_dense(const Array& a, const char* name) {
  if (!a.without_gaps() && !a.transposed().without_gaps()) Array::refuse(name, "must be contiguous");
}

}  // namespace lstm_native::cuda::bindings
