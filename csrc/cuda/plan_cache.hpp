// cuda: plans that no call uses, kept for the next call with the same options: its memory is there, its graph captured.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "cuda/device_plan.hpp"

namespace lstm_native::cuda {

class PlanCache {
 public:
  // Returns a plan with these options, or null. The caller is then its only user.
  std::unique_ptr<DevicePlan> take(const std::vector<std::int64_t>& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto entry = idle_.begin(); entry != idle_.end(); ++entry) {
      if (entry->first != key) continue;
      std::unique_ptr<DevicePlan> plan = std::move(entry->second);
      idle_.erase(entry);
      return plan;
    }
    return nullptr;
  }

  void keep(std::vector<std::int64_t> key, std::unique_ptr<DevicePlan> plan) {
    std::list<Entry> dropped;  // destroyed outside of the lock
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.emplace_front(std::move(key), std::move(plan));
    while (idle_.size() > most_plans) dropped.splice(dropped.end(), idle_, std::prev(idle_.end()));
  }

  void clear() {
    std::list<Entry> dropped;
    const std::lock_guard<std::mutex> lock(mutex_);
    dropped.swap(idle_);
  }

  std::pair<std::size_t, index_t> count_and_bytes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    index_t bytes = 0;
    for (const Entry& entry : idle_) bytes += entry.second->bytes();
    return {idle_.size(), bytes};
  }

 private:
  using Entry = std::pair<std::vector<std::int64_t>, std::unique_ptr<DevicePlan>>;
  static constexpr std::size_t most_plans = 4;  // two models forward and backward

  std::mutex mutex_;
  std::list<Entry> idle_;  // the latest first
};

inline PlanCache& plan_cache() {
  static auto* const cache = new PlanCache;  // not destroyed at exit, when the runtime may be gone already
  return *cache;
}

// Runs a call on a plan with these options, a new one where none is idle.
template <class Plan, class Call>
void run_planned(const Options& options, const Call& call, cudaStream_t stream) {
  const CurrentDevice current(options.device);
  std::vector<std::int64_t> key = options.key();
  std::unique_ptr<DevicePlan> plan = plan_cache().take(key);
  if (plan == nullptr) plan = std::make_unique<Plan>(options);
  try {
    static_cast<Plan&>(*plan).run(call, stream);
  } catch (...) {
    plan->abandon();
    throw;
  }
  plan_cache().keep(std::move(key), std::move(plan));
}

}  // namespace lstm_native::cuda
