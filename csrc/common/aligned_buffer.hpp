// common: an uninitialised, cache-line aligned block of memory with an owner.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "common/types.hpp"

namespace lstm_native {

inline constexpr std::size_t cache_line_bytes = 64;

class AlignedBuffer {
 public:
  // A plain allocation with room to align in: glibc reuses the freed memory of aligned allocations badly, so a process
  // that opens and closes objects for long would grow (`make soak`).
  explicit AlignedBuffer(index_t bytes)
      : allocation_(bytes == 0 ? nullptr : ::operator new(static_cast<std::size_t>(bytes) + cache_line_bytes - 1)),
        bytes_(bytes) {
    ask_for_huge_pages(static_cast<std::size_t>(bytes));
  }

  std::byte* data() const {
    const auto address = reinterpret_cast<std::uintptr_t>(allocation_.get());
    return static_cast<std::byte*>(allocation_.get()) + (-address & (cache_line_bytes - 1));
  }
  index_t bytes() const { return bytes_; }

 private:
  struct Release {
    void operator()(void* memory) const { ::operator delete(memory); }
  };
  // The first touch of fresh memory costs time for each page; huge pages are fewer. Best effort: a failure is ignored.
  void ask_for_huge_pages(std::size_t bytes) const {
#ifdef MADV_HUGEPAGE
    constexpr std::size_t worthwhile = std::size_t{1} << 22U;
    constexpr std::uintptr_t page = 4096;
    if (bytes < worthwhile) return;
    const std::uintptr_t past_page = reinterpret_cast<std::uintptr_t>(data()) % page;
    const std::size_t skipped = past_page == 0 ? 0 : page - past_page;
    madvise(data() + skipped, bytes - skipped, MADV_HUGEPAGE);
#else
    static_cast<void>(bytes);
#endif
  }

  std::unique_ptr<void, Release> allocation_;
  index_t bytes_;
};

}  // namespace lstm_native
