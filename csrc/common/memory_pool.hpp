// common: a pool of memory: blocks that calls borrow and give back, kept in between by an object of the caller's.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "common/aligned_buffer.hpp"
#include "common/types.hpp"

namespace lstm_native {

class MemoryPool {
 public:
  // One block, in a list whose node is the pool's when it comes back, so that nothing is allocated then.
  using Block = std::list<AlignedBuffer>;

  // The smallest block at rest that is large enough. Where there is none, the largest one at rest is replaced by one of
  // these bytes, so that there are never more blocks than were in use at once, each as large as some call needed.
  Block take(index_t bytes);
  void give_back(Block block) noexcept;
  index_t bytes() const;  // of the blocks at rest
  void clear() noexcept;  // frees them

 private:
  // Held for less than a microsecond, or for ever in a child that was forked meanwhile: whoever waits for longer does
  // without the pool.
  bool locked_in_time() const;
  mutable std::mutex mutex_;
  std::list<AlignedBuffer> at_rest_;  // in order of their sizes
};

// The pools that the calling thread has entered and not yet left. It takes memory from the last one.
void enter_pool(std::shared_ptr<MemoryPool> pool);
// False: the calling thread is not in it.
bool leave_pool(const MemoryPool* pool);
// Null: in none.
const std::shared_ptr<MemoryPool>& current_pool();

// A block of the calling thread's pool, which it goes back to unless the pool is gone by then; an AlignedBuffer like
// any other where the thread is in no pool, or the block so small that the C library hands it out and takes it back
// without asking the system.
inline constexpr index_t smallest_pooled_block = index_t{1} << 16;

class PooledBuffer {
 public:
  explicit PooledBuffer(index_t bytes);
  PooledBuffer(PooledBuffer&&) = default;
  PooledBuffer& operator=(PooledBuffer&&) = delete;
  ~PooledBuffer();

  std::byte* data() const { return block_.front().data(); }

 private:
  PooledBuffer(const std::shared_ptr<MemoryPool>& pool, index_t bytes);

  std::weak_ptr<MemoryPool> from_;
  MemoryPool::Block block_;  // empty: moved from
};

}  // namespace lstm_native
