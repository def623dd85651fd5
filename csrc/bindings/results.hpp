// bindings: arrays for what a call returns.
#pragma once

#include <pybind11/numpy.h>

#include <initializer_list>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "common/memory_pool.hpp"
#include "common/types.hpp"

namespace lstm_native::bindings {

// Returns an uninitialised array in C order, in memory of the calling thread's pool if it is in one.
pybind11::array new_array(const std::vector<index_t>& shape, const pybind11::dtype& dtype);

// Calls NumPy's C function without a list of sizes, to save time: a short call makes three arrays, a pullback many.
// data: null, or memory of an owner, which the array keeps.
template <class Real>
pybind11::array_t<Real> numpy_array(std::initializer_list<index_t> shape, Real* data, pybind11::object owner) {
  using Api = pybind11::detail::npy_api;
  const Api& api = Api::get();
  Py_INCREF(descriptor_of<Real>());
  auto array = pybind11::reinterpret_steal<pybind11::array_t<Real>>(
      api.PyArray_NewFromDescr_(api.PyArray_Type_, descriptor_of<Real>(), static_cast<int>(shape.size()), shape.begin(),
                                nullptr, data, data == nullptr ? 0 : Api::NPY_ARRAY_WRITEABLE_, nullptr));
  if (!array) throw pybind11::error_already_set();
  if (owner && api.PyArray_SetBaseObject_(array.ptr(), owner.release().ptr()) != 0) {
    throw pybind11::error_already_set();
  }
  return array;
}

template <class Real>
pybind11::array_t<Real> new_array_of(std::initializer_list<index_t> shape) {
  if (current_pool() != nullptr) return pybind11::array_t<Real>(new_array(shape, pybind11::dtype::of<Real>()));
  return numpy_array<Real>(shape, nullptr, {});
}

// A tape, (elements, 1): the first half of a block; nothing writes to the second half.
//
// glibc gives memory back to the system when more than twice the largest block so far is free (mallopt(3),
// M_MMAP_THRESHOLD). A forward and a backward pass together free more than twice the tape, so without the second half
// the next pass faults its memory in page by page: forecast_h32 in `make adapter`, one thread of an AMD EPYC (Zen 5) in
// a virtual machine, took 1.3 instead of 0.54 ms by the function without the adapter.
template <class Real>
pybind11::array_t<Real> new_tape(index_t elements) {
  constexpr index_t largest_kept_block = index_t{1} << 25;  // in bytes: glibc hands a larger one back in any case
  constexpr auto size = static_cast<index_t>(sizeof(Real));
  if (current_pool() != nullptr || elements > largest_kept_block / (2 * size)) {
    return new_array_of<Real>({elements, 1});
  }
  auto block = numpy_array<Real>({2 * elements}, nullptr, {});
  Real* const data = block.mutable_data();
  return numpy_array<Real>({elements, 1}, data, std::move(block));
}

}  // namespace lstm_native::bindings
