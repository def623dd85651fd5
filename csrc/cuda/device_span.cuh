// cuda: the memory that a kernel may access, with its size. Without NDEBUG a thread that leaves it traps.
#pragma once

#include <cuda_runtime.h>

#include "common/types.hpp"

namespace lstm_native::cuda {

template <class Element>
struct DeviceSpan {
  Element* data = nullptr;  // null: absent
  index_t size = 0;

  __device__ Element load(index_t at) const {
    require(at);
    return __ldca(data + at);
  }
  __device__ void store(index_t at, Element value) const {
    require(at);
    __stwb(data + at, value);
  }
  __device__ void require([[maybe_unused]] index_t at) const {
#ifndef NDEBUG
    if (at < 0 || at >= size) __trap();
#endif
  }
};

// A caller's memory with any strides: the element of indices (i, j, k) is at origin + i * strides[0] + ...
template <class Element>
struct StridedSpan {
  DeviceSpan<Element> memory;
  index_t origin = 0;
  index_t strides[3] = {0, 0, 0};

  __host__ __device__ bool absent() const { return memory.data == nullptr; }
  __device__ index_t at(index_t i, index_t j, index_t k) const {
    return origin + i * strides[0] + j * strides[1] + k * strides[2];
  }
};

// From the address of element (0, 0, 0). Strides count elements and may be negative.
template <class Element>
StridedSpan<Element> strided_span(Element* first, const index_t (&sizes)[3], const index_t (&strides)[3]) {
  StridedSpan<Element> span;
  if (first == nullptr || sizes[0] * sizes[1] * sizes[2] == 0) return span;
  index_t lowest = 0;
  index_t highest = 0;
  for (int axis = 0; axis < 3; ++axis) {
    span.strides[axis] = strides[axis];
    (strides[axis] < 0 ? lowest : highest) += (sizes[axis] - 1) * strides[axis];
  }
  span.origin = -lowest;
  span.memory = {first + lowest, highest - lowest + 1};
  return span;
}

}  // namespace lstm_native::cuda
