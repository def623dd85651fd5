// bindings: refuses a second call of an object in the middle of its first one.
#pragma once

#include <atomic>
#include <stdexcept>

namespace lstm_native::bindings {

// Holds an object's flag during a call: the object's memory serves one call at a time, and the GIL is free while a call
// computes. The constructor throws std::runtime_error(refusal) if another call holds the flag.
class InUse {
 public:
  InUse(std::atomic<bool>& flag, const char* refusal) : flag_(flag) {
    if (flag_.exchange(true)) throw std::runtime_error(refusal);
  }
  ~InUse() { flag_ = false; }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  std::atomic<bool>& flag_;
};

}  // namespace lstm_native::bindings
