// common: a pool of memory. Calls borrow blocks and give them back; an object of the caller keeps them in between.
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

  // Returns the smallest idle block that is large enough, if it is at most twice as large. Otherwise it returns a new
  // block, and frees the largest idle block that is too small. So the pool never holds more blocks of about one size
  // than were in use at once.
  Block take(index_t bytes);
  void give_back(Block block) noexcept;
  index_t bytes();  // of the idle blocks
  void clear();     // frees the idle blocks

 private:
  ForkAwareLock lock_;
  std::unique_ptr<Blocks> idle_ = std::make_unique<Blocks>();
};

// The pools that the calling thread has entered and not yet left. It takes memory from the last one.
void enter_pool(std::shared_ptr<MemoryPool> pool);
// False: the calling thread has not entered this pool.
bool leave_pool(const MemoryPool* pool);
// Null: the calling thread is in no pool.
const std::shared_ptr<MemoryPool>& current_pool();

// The C library keeps smaller blocks itself, without a call of the system.
inline constexpr index_t smallest_pooled_block = index_t{1} << 16;

// A block of a pool. The destructor gives it back if the pool still exists, and frees it otherwise. Where the pool is
// null or the block is smaller than smallest_pooled_block, the memory is a plain allocation.
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
