#include "common/interruption.hpp"

namespace lstm_native {

void Watch::look_at_clock() {
  left_ = work_between_looks;
  const auto now = std::chrono::steady_clock::now();
  if (next_question_ == std::chrono::steady_clock::time_point{}) {
    next_question_ = now + Interruption::interval;
  } else if (now >= next_question_) {
    interruption_->ask();
    next_question_ = std::chrono::steady_clock::now() + Interruption::interval;
  }
}

}  // namespace lstm_native
