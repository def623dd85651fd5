// common: a lock for work of a microsecond, which a fork does not leave locked without anybody's knowing.
#pragma once

#include <atomic>

namespace lstm_native {

class ForkAwareLock {
 public:
  // Waits for whoever holds it. False: never again, for it was held by another thread when this process was forked, of
  // which the child knows nothing but that it had not finished.
  bool lock();
  void unlock() { holder_.store(nobody, std::memory_order_release); }

 private:
  static constexpr int nobody = -1;

  std::atomic<int> holder_{nobody};  // or how many forks lie between the first process and the one of the holder
};

}  // namespace lstm_native
