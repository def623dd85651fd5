// common: an uninitialised, cache-line aligned block of memory with an owner.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "common/types.hpp"

namespace lstm_native {

inline constexpr std::size_t cache_line_bytes = 64;

class AlignedBuffer {
 public:
  explicit AlignedBuffer(index_t bytes)
      : data_(bytes == 0 ? nullptr
                         : ::operator new(static_cast<std::size_t>(bytes), std::align_val_t{cache_line_bytes})) {}

  std::byte* data() const { return static_cast<std::byte*>(data_.get()); }

 private:
  struct Release {
    void operator()(void* memory) const { ::operator delete(memory, std::align_val_t{cache_line_bytes}); }
  };
  std::unique_ptr<void, Release> data_;
};

}  // namespace lstm_native
