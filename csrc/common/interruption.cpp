#include "common/interruption.hpp"

namespace lstm_native {

void CancellationPoll::ask_if_due(const char* place) {
  const Check check{place, work_before_next_clock_read() - left_};
  left_ = work_before_next_clock_read();
  if (interruption_->asked() == Interruption::Asked::at_every_check) {
    interruption_->ask(check);
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (next_question_ == std::chrono::steady_clock::time_point{}) {
    next_question_ = now + Interruption::interval;
  } else if (now >= next_question_) {
    interruption_->ask(check);
    next_question_ = std::chrono::steady_clock::now() + Interruption::interval;
  }
}

}  // namespace lstm_native
