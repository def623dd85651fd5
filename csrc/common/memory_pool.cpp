#include "common/memory_pool.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

namespace lstm_native {
namespace {

thread_local std::vector<std::shared_ptr<MemoryPool>> entered_pools;

}  // namespace

bool MemoryPool::locked_in_time() const {
  constexpr int attempts = 1000;
  for (int k = 0; k < attempts; ++k) {
    if (mutex_.try_lock()) return true;
    std::this_thread::yield();
  }
  return false;
}

MemoryPool::Block MemoryPool::take(index_t bytes) {
  Block block;
  if (locked_in_time()) {
    const std::lock_guard<std::mutex> lock(mutex_, std::adopt_lock);
    const auto fitting = std::find_if(at_rest_.begin(), at_rest_.end(),
                                      [&](const AlignedBuffer& at_rest) { return at_rest.bytes() >= bytes; });
    if (fitting != at_rest_.end()) {
      block.splice(block.begin(), at_rest_, fitting);
      return block;
    }
    if (!at_rest_.empty()) block.splice(block.begin(), at_rest_, std::prev(at_rest_.end()));
  }
  block.clear();  // of the one that is replaced, if any
  block.emplace_back(bytes);
  return block;
}

void MemoryPool::give_back(Block block) noexcept {
  if (!locked_in_time()) return;
  const std::lock_guard<std::mutex> lock(mutex_, std::adopt_lock);
  const auto larger = std::find_if(at_rest_.begin(), at_rest_.end(), [&](const AlignedBuffer& at_rest) {
    return at_rest.bytes() > block.front().bytes();
  });
  at_rest_.splice(larger, block);
}

index_t MemoryPool::bytes() const {
  if (!locked_in_time()) return 0;
  const std::lock_guard<std::mutex> lock(mutex_, std::adopt_lock);
  return std::accumulate(at_rest_.begin(), at_rest_.end(), index_t{0},
                         [](index_t sum, const AlignedBuffer& block) { return sum + block.bytes(); });
}

void MemoryPool::clear() noexcept {
  std::list<AlignedBuffer> freed;  // when the lock is
  if (!locked_in_time()) return;
  const std::lock_guard<std::mutex> lock(mutex_, std::adopt_lock);
  freed.swap(at_rest_);
}

void enter_pool(std::shared_ptr<MemoryPool> pool) { entered_pools.push_back(std::move(pool)); }

bool leave_pool(const MemoryPool* pool) {
  const auto last = std::find_if(entered_pools.rbegin(), entered_pools.rend(),
                                 [&](const std::shared_ptr<MemoryPool>& entered) { return entered.get() == pool; });
  if (last == entered_pools.rend()) return false;
  entered_pools.erase(std::next(last).base());
  return true;
}

const std::shared_ptr<MemoryPool>& current_pool() {
  static const std::shared_ptr<MemoryPool> none;
  return entered_pools.empty() ? none : entered_pools.back();
}

PooledBuffer::PooledBuffer(index_t bytes)
    : PooledBuffer(bytes < smallest_pooled_block ? nullptr : current_pool(), bytes) {}

PooledBuffer::PooledBuffer(const std::shared_ptr<MemoryPool>& pool, index_t bytes) : from_(pool) {
  if (pool == nullptr) {
    block_.emplace_back(bytes);
  } else {
    block_ = pool->take(bytes);
  }
}

PooledBuffer::~PooledBuffer() {
  if (block_.empty()) return;
  if (const std::shared_ptr<MemoryPool> pool = from_.lock()) pool->give_back(std::move(block_));
}

}  // namespace lstm_native
