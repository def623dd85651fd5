// bindings: NumPy arrays to views, with the checks that guard memory. Messages for people come from the Python layer;
// these only catch what it let through.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>

#include "common/types.hpp"
#include "common/views.hpp"

namespace lstm_native::bindings {

namespace py = pybind11;

// Returns a numpy.ndarray. Throws std::invalid_argument for anything else, instances of its subclasses included.
py::array array_of(py::handle object, const char* name);

// Returns NumPy's descriptor of the type, which most arrays of the type share; a borrowed reference.
template <class Real>
PyObject* descriptor_of() {
  static PyObject* const descriptor = py::dtype::of<Real>().release().ptr();
  return descriptor;
}

template <class Real>
bool holds(const py::array& array) {
  return py::detail::array_proxy(array.ptr())->descr == descriptor_of<Real>() ||
         py::isinstance<py::array_t<Real>>(array);
}

Dtype dtype_of_array(const py::array& array, const char* name);

// Throws std::invalid_argument unless the array has this element type (native byte order, aligned) and this shape.
template <class Real>
void require_array(const py::array& array, std::initializer_list<index_t> shape, const char* name);

// The same for an array to write to; contiguous: in C order without gaps.
template <class Real>
Real* require_output(py::array& array, std::initializer_list<index_t> shape, bool contiguous, const char* name);

// Throws std::invalid_argument unless the last axis has no gaps.
template <class Real>
void require_contiguous_rows(const py::array& array, const char* name);

// Imports what usual_array needs of NumPy. Must run when the module is imported: a program may call while it ends, when
// Python imports nothing any more.
void find_numpy();

// Returns the data of an array of this element type and shape, in C order and aligned. Null for anything else,
// including instances of subclasses, such as masked arrays. The fast path of calls that need no conversion.
template <class Real>
const Real* usual_array(py::handle object, std::initializer_list<index_t> shape);

// The stride of an axis, in elements.
template <class Real>
index_t stride_of(const py::array& array, index_t axis) {
  return array.strides(axis) / static_cast<index_t>(sizeof(Real));
}

template <class Real>
const Real* read_only(const py::array& array) {
  return static_cast<const Real*>(array.data());
}

template <class Real>
MatrixView<const Real> matrix_view(const py::array& array, index_t rows, index_t columns, const char* name);
// Returns a vector, or null where the object is None. Replaces an object with gaps by a copy, which owns the vector.
template <class Real>
const Real* optional_contiguous_vector(py::object& object, index_t count, const char* name);
template <class Real>
VectorView<const Real> optional_vector_view(const py::object& object, index_t count, const char* name);
template <class Real>
StateView<const Real> state_view(const py::array& array, index_t states, index_t batch, index_t units,
                                 const char* name);

}  // namespace lstm_native::bindings
