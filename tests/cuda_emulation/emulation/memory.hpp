// emulation: device memory. Its addresses are real addresses that nobody may touch, so that a host which dereferences
// one stops at once; what they hold lies elsewhere, and is reached through checked loads and stores.
//
// Each word of four bytes remembers whether it is allocated, who wrote it last and who read it since. A load or store
// is refused that is out of bounds, of freed memory, of memory that was never written, unordered with another
// operation's, or in conflict with another thread of the same launch.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "emulation/order.hpp"

namespace cuda_emulation {

// What a device would fail with, and why.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What the calling thread is executing for the device.
struct Running {
  std::uint32_t operation = 0;  // 0: nothing
  std::uint32_t strand = 0;
  std::uint32_t thread = 0;  // within the launch
};
inline thread_local Running running;

class Memory {
 public:
  explicit Memory(Order& order) : order_(order) {
    addresses_ = map(region_bytes, PROT_NONE);
    contents_ = map(region_bytes, PROT_READ | PROT_WRITE);
    words_ = reinterpret_cast<Word*>(map(region_bytes / word_bytes * sizeof(Word), PROT_READ | PROT_WRITE));
  }

  // Null where there is no room. operation: after which the memory may be used, 0: at once.
  void* allocate(std::size_t bytes, std::uint32_t operation) {
    const std::size_t room = rounded(bytes) + red_zone;
    std::size_t place = next_;
    for (bool wrapped = false;;) {
      if (place + room > region_bytes) {
        if (wrapped) return nullptr;
        wrapped = true;
        place = 0;
      }
      auto after = live_.upper_bound(place);
      if (after != live_.begin()) {
        const auto before = std::prev(after);
        if (before->first + rounded(before->second.bytes) + red_zone > place) {
          place = before->first + rounded(before->second.bytes) + red_zone;
          continue;
        }
      }
      if (after == live_.end() || place + room <= after->first) break;
      place = after->first + rounded(after->second.bytes) + red_zone;
    }
    next_ = place + room;
    live_[place] = {bytes, operation};
    live_bytes_ += bytes;
    return addresses_ + place;
  }

  // strand: which must be after all use of the memory; `everything`: the device has been waited for.
  void release(void* address, std::uint32_t strand, bool everything) {
    const std::size_t place = offset_of(address, "free");
    const auto found = live_.find(place);
    if (found == live_.end()) throw Violation(where("free of what is no allocation", place));
    const std::size_t bytes = found->second.bytes;
    for (Word& word : words_of(place, bytes)) {
      if (word.state == 0) continue;  // never touched
      const auto require_before = [&](std::uint32_t operation) {
        if (everything || order_.is_before(operation, strand)) return;
        throw Violation("memory is freed while " + order_.describe(operation) + " may still use it");
      };
      require_before(word.writer);
      for (const std::uint32_t reader : word.readers) require_before(reader);
      word = {};
    }
    freed_.push_back({place, bytes});
    live_bytes_ -= bytes;
    live_.erase(found);
  }

  bool contains(const void* address) const {
    const auto* byte = static_cast<const char*>(address);
    return byte >= addresses_ && byte < addresses_ + region_bytes;
  }
  std::size_t live_bytes() const { return live_bytes_; }

  // The place of an address's bytes, after a check that what is running may read or write them now.
  const char* read(const void* address, std::size_t bytes) {
    const std::size_t place = offset_of(address, "read");
    for (Word& word : words_of(place, bytes)) check_read(word, place);
    return contents_ + place;
  }
  char* write(void* address, std::size_t bytes) {
    const std::size_t place = offset_of(address, "write");
    for (Word& word : words_of(place, bytes)) check_write(word);
    return contents_ + place;
  }
  // Of atomic operations on a word, any order is right as long as they are behind what was done to it otherwise.
  template <class Use>
  void use_atomically(void* address, const Use& use) {
    const std::size_t place = offset_of(address, "atomic operation");
    Word& word = words_[place / word_bytes];
    if (word.state == 0) enter(word, "atomic operation out of bounds");
    if ((word.state & unwritten) != 0) throw Violation(where("atomic operation on what was never written", place));
    if (!word.atomic) check_write(word);
    word.atomic = true;
    use(contents_ + place);
  }

 private:
  static constexpr std::size_t region_bytes = std::size_t{16} << 30U;
  static constexpr std::size_t red_zone = 256;
  static constexpr std::size_t word_bytes = 4;
  static constexpr std::uint32_t allocated = 1;
  static constexpr std::uint32_t unwritten = 2;
  static constexpr std::uint32_t several = 0xFFFFFFFFU;  // threads
  static constexpr int strands = 4;                      // whose reads a word remembers

  struct Word {
    std::uint32_t state;
    std::uint32_t writer, writing_thread;
    std::uint32_t readers[strands];  // the latest of each strand
    std::uint32_t reading_threads[strands];
    bool atomic;  // used so since it was written
  };
  struct Span {
    Word* first;
    Word* last;
    Word* begin() const { return first; }
    Word* end() const { return last; }
  };
  struct Range {
    std::size_t begin, bytes;
  };
  struct Allocation {
    std::size_t bytes;
    std::uint32_t operation;
  };

  static char* map(std::size_t bytes, int protection) {
    void* got = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(got);
  }
  static std::size_t rounded(std::size_t bytes) { return (bytes + red_zone - 1) / red_zone * red_zone; }

  Span words_of(std::size_t place, std::size_t bytes) const {
    return {words_ + place / word_bytes, words_ + (place + bytes + word_bytes - 1) / word_bytes};
  }

  std::size_t offset_of(const void* address, const char* what) const {
    if (!contains(address)) {
      std::ostringstream text;
      text << what << " of address " << address << ", which is no device memory (a host pointer?)";
      throw Violation(text.str());
    }
    return static_cast<std::size_t>(static_cast<const char*>(address) - addresses_);
  }

  std::string where(const char* what, std::size_t place) const {
    std::ostringstream text;
    text << what;
    for (auto range = freed_.rbegin(); range != freed_.rend(); ++range) {
      if (place >= range->begin && place < range->begin + range->bytes) {
        text << " at byte " << place - range->begin << " of an allocation of " << range->bytes << " that was freed";
        return text.str();
      }
    }
    auto after = live_.upper_bound(place);
    if (after != live_.begin()) {
      const auto before = std::prev(after);
      text << " at byte " << place - before->first << " of an allocation of " << before->second.bytes;
    }
    return text.str();
  }

  // A word is entered when it is first touched: allocations are large, and most of a workspace is never used.
  void enter(Word& word, const char* what) {
    const std::size_t place = static_cast<std::size_t>(&word - words_) * word_bytes;
    const auto after = live_.upper_bound(place);
    if (after == live_.begin()) throw Violation(where(what, place));
    const auto& [begin, allocation] = *std::prev(after);
    if (place >= begin + allocation.bytes) throw Violation(where(what, place));
    word = {};
    word.state = allocated | unwritten;
    word.writer = allocation.operation;
  }

  void check_read(Word& word, std::size_t place) {
    if (word.state == 0) enter(word, "read out of bounds");
    if (!order_.is_before(word.writer, running.strand)) {
      throw Violation("unordered read: of what " + order_.describe(word.writer) + " writes, by " +
                      order_.describe(running.operation));
    }
    if ((word.state & unwritten) != 0) throw Violation(where("read of memory that was never written", place));
    if (word.writer == running.operation && word.writing_thread != running.thread) {
      throw Violation("threads of one launch read what others of it write: " + order_.describe(running.operation));
    }
    for (int k = 0; k < strands; ++k) {
      if (word.readers[k] == running.operation) {
        if (word.reading_threads[k] != running.thread) word.reading_threads[k] = several;
        return;
      }
    }
    int k = 0;
    while (k < strands - 1 && !order_.is_before(word.readers[k], running.strand)) ++k;
    word.readers[k] = running.operation;
    word.reading_threads[k] = running.thread;
  }

  void check_write(Word& word) {
    if (word.state == 0) enter(word, "write out of bounds");
    const auto require_before = [&](std::uint32_t earlier) {
      if (order_.is_before(earlier, running.strand)) return;
      throw Violation("unordered write: to what " + order_.describe(earlier) + " uses, by " +
                      order_.describe(running.operation));
    };
    require_before(word.writer);
    bool conflicts = word.writer == running.operation && word.writing_thread != running.thread;
    for (int k = 0; k < strands; ++k) {
      require_before(word.readers[k]);
      conflicts = conflicts || (word.readers[k] == running.operation && word.reading_threads[k] != running.thread);
    }
    if (conflicts) {
      throw Violation("threads of one launch write what others of it use: " + order_.describe(running.operation));
    }
    word = {};
    word.state = allocated;
    word.writer = running.operation;
    word.writing_thread = running.thread;
  }

  Order& order_;
  char* addresses_;
  char* contents_;
  Word* words_;
  std::size_t next_ = 0;
  std::size_t live_bytes_ = 0;
  std::map<std::size_t, Allocation> live_;  // by place
  std::vector<Range> freed_;
};

}  // namespace cuda_emulation
