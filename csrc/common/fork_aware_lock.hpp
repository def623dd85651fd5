// common: a spin lock, for work of a microsecond, that detects having been held across fork().
#pragma once

#include <atomic>

namespace lstm_native {

class ForkAwareLock {
 public:
  // Waits for the holder. False: another thread held the lock when this process was forked. That thread does not exist
  // here, so the lock stays locked, and what it protects may be half changed.
  bool lock();
  void unlock() { holder_.store(unlocked, std::memory_order_release); }

 private:
  static constexpr int unlocked = -1;

  std::atomic<int> holder_{unlocked};  // or the number of forks between the first process and the holder's
};

}  // namespace lstm_native
