#include "common/memory_pool.hpp"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

namespace lstm_native {
namespace {

thread_local std::vector<std::shared_ptr<MemoryPool>> entered_pools;

// Holds a lock until the end of its scope.
using Held = std::lock_guard<ForkAwareLock>;

void lock_or_throw(ForkAwareLock& lock) {
  if (!lock.lock()) {
    throw std::runtime_error(
        "MemoryPool: can't be used any more, because this process was forked while another thread used it");
  }
}

}  // namespace

MemoryPool::~MemoryPool() {
  // No other thread uses the pool now. But if a fork copied a held lock, the blocks may be half changed: they leak.
  if (!lock_.lock()) static_cast<void>(idle_.release());
}

MemoryPool::Block MemoryPool::take(index_t bytes) {
  Block replaced;  // freed after the lock is released
  if (lock_.lock()) {
    const Held held(lock_, std::adopt_lock);
    const auto fitting = idle_->lower_bound(bytes);
    if (fitting != idle_->end() && fitting->first / 2 <= bytes) return idle_->extract(fitting);
    if (fitting != idle_->begin()) replaced = idle_->extract(std::prev(fitting));
  }
  replaced = Block();
  Blocks fresh;
  return fresh.extract(fresh.emplace(bytes, bytes));
}

void MemoryPool::give_back(Block block) noexcept {
  if (!lock_.lock()) return;
  const Held held(lock_, std::adopt_lock);
  // In front of its equals, so that the block used last is used next.
  idle_->insert(idle_->lower_bound(block.key()), std::move(block));
}

index_t MemoryPool::bytes() {
  lock_or_throw(lock_);
  const Held held(lock_, std::adopt_lock);
  index_t sum = 0;
  for (const auto& [bytes, block] : *idle_) sum += bytes;
  return sum;
}

void MemoryPool::clear() {
  Blocks freed;  // destroyed after the lock is released
  lock_or_throw(lock_);
  const Held held(lock_, std::adopt_lock);
  freed.swap(*idle_);
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

PooledBuffer::PooledBuffer(const std::shared_ptr<MemoryPool>& pool, index_t bytes)
    : from_(bytes < smallest_pooled_block ? nullptr : pool),
      block_(from_.expired() ? MemoryPool::Block() : pool->take(bytes)),
      own_(block_.empty() ? bytes : 0) {}

PooledBuffer::~PooledBuffer() {
  if (block_.empty()) return;
  if (const std::shared_ptr<MemoryPool> pool = from_.lock()) pool->give_back(std::move(block_));
}

}  // namespace lstm_native
