// common: a pool of memory: blocks that calls borrow and give back, kept in between by an object of the caller's.
#pragma once

#include <map>
#include <memory>

#include "common/aligned_buffer.hpp"
#include "common/fork_aware_lock.hpp"
#include "common/types.hpp"

namespace lstm_native {

class MemoryPool {
 public:
  using Blocks = std::multimap<index_t, AlignedBuffer>;  // by their bytes
  using Block = Blocks::node_type;

  MemoryPool() = default;
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool();

  // The smallest block at rest that is large enough, unless it is more than twice that. Where there is none, a new one,
  // in place of the largest of those at rest that are too small. So of blocks of about one size there are never more
  // than were in use at once.
  Block take(index_t bytes);
  void give_back(Block block) noexcept;
  index_t bytes();  // of the blocks at rest
  void clear();     // frees them

 private:
  ForkAwareLock lock_;
  std::unique_ptr<Blocks> at_rest_ = std::make_unique<Blocks>();
};

// The pools that the calling thread has entered and not yet left. It takes memory from the last one.
void enter_pool(std::shared_ptr<MemoryPool> pool);
// False: the calling thread is not in it.
bool leave_pool(const MemoryPool* pool);
// Null: in none.
const std::shared_ptr<MemoryPool>& current_pool();

// Smaller ones the C library hands out and takes back without asking the system.
inline constexpr index_t smallest_pooled_block = index_t{1} << 16;

// A block of a pool, which it goes back to unless the pool is gone by then; one that is simply freed where the pool is
// null, or the block too small to matter.
class PooledBuffer {
 public:
  PooledBuffer(const std::shared_ptr<MemoryPool>& pool, index_t bytes);
  PooledBuffer(const PooledBuffer&) = delete;
  PooledBuffer& operator=(const PooledBuffer&) = delete;
  ~PooledBuffer();

  std::byte* data() const { return block_.empty() ? own_.data() : block_.mapped().data(); }

 private:
  std::weak_ptr<MemoryPool> from_;
  MemoryPool::Block block_;  // or else:
  AlignedBuffer own_;
};

}  // namespace lstm_native
