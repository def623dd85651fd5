// bindings: refuses a second call of an object in the middle of its first one.
#pragma once

#include <atomic>
#include <stdexcept>

namespace lstm_native::bindings {

// An object's memory is for one call at a time; the GIL is free while a call computes. `refusal` is the message of the
// std::runtime_error where another call has the flag.
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
