// bindings: arrays for what a call returns.
#pragma once

#include <pybind11/numpy.h>

#include <initializer_list>
#include <vector>

#include "common/memory_pool.hpp"
#include "common/types.hpp"

namespace lstm_native::bindings {

// Uninitialised, in C order; in memory of the calling thread's pool where it is in one.
pybind11::array new_array(const std::vector<index_t>& shape, const pybind11::dtype& dtype);

template <class Real>
pybind11::array_t<Real> new_array_of(std::initializer_list<index_t> shape) {
  // Without a list on the way, for a short call asks for three of them.
  if (current_pool() == nullptr) return pybind11::array_t<Real>(pybind11::array::ShapeContainer(shape));
  return pybind11::array_t<Real>(new_array(shape, pybind11::dtype::of<Real>()));
}

}  // namespace lstm_native::bindings
