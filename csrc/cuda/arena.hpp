// cuda: one allocation for all of a plan's arrays.
#pragma once

#include "common/checked_size.hpp"
#include "cuda/device_span.cuh"
#include "cuda/resources.hpp"

namespace lstm_native::cuda {

template <class Element>
struct Place {
  index_t offset = 0;  // bytes
  index_t size = 0;    // elements
};

class Arena {
 public:
  template <class Element>
  Place<Element> reserve(std::initializer_list<index_t> sizes) {
    constexpr index_t alignment = 256;
    const index_t size = checked_product(sizes);
    const Place<Element> place{bytes_, size};
    const index_t bytes = checked_product({size, static_cast<index_t>(sizeof(Element))});
    bytes_ = checked_sum({bytes_, bytes, alignment - 1}) / alignment * alignment;
    return place;
  }

  index_t bytes() const { return bytes_; }

  // Must be called after the last reserve(). The memory is valid for the work that follows on the stream.
  void allocate(cudaStream_t stream) {
    void* memory = nullptr;
    if (bytes_ > 0) check(cudaMallocAsync(&memory, static_cast<std::size_t>(bytes_), stream), "cudaMallocAsync");
    memory_ = static_cast<char*>(memory);
  }
  // Frees the memory after the work that was issued to the stream.
  void release(cudaStream_t stream) {
    if (memory_ != nullptr) (void)cudaFreeAsync(memory_, stream);
    memory_ = nullptr;
  }

  template <class Element>
  DeviceSpan<Element> at(const Place<Element>& place) const {
    return {reinterpret_cast<Element*>(memory_ + place.offset), place.size};
  }
  // `size` elements of the place, from `first` on.
  template <class Element>
  DeviceSpan<Element> at(const Place<Element>& place, index_t first, index_t size) const {
    return {at(place).data + first, size};
  }

 private:
  index_t bytes_ = 0;
  char* memory_ = nullptr;
};

}  // namespace lstm_native::cuda
