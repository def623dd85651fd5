// common: cancels a running call.
#pragma once

#include <atomic>
#include <chrono>

#include "common/aligned_buffer.hpp"
#include "common/types.hpp"

namespace lstm_native {

// A point of a running call at which a thread can leave it.
struct Check {
  const char* place;  // the enclosing function
  index_t work;       // what the thread has done since its last check
};

// One per call. At intervals it asks the caller whether to cancel. Once the call is cancelled, each thread leaves it at
// the thread's next check, and the results are discarded.
class alignas(cache_line_bytes) Interruption {
 public:
  // Runs on the thread that made the call; true cancels the call.
  using Question = bool (*)(void* context, const Check& check);
  // When the question is asked. Tests ask at every check of the calling thread, so that they need no clock.
  enum class Asked { at_intervals, at_every_check };
  static constexpr std::chrono::milliseconds interval{50};

  Interruption(Question question, void* context, Asked asked = Asked::at_intervals)
      : question_(question), context_(context), asked_(asked) {}
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  bool requested() const { return requested_.load(std::memory_order_relaxed); }
  Asked asked() const { return asked_; }
  // Does not ask again once the call is cancelled: Python's exception is set then.
  void ask(const Check& check) {
    if (!requested() && question_(context_, check)) requested_.store(true, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> requested_{false};
  Question question_;
  void* context_;
  Asked asked_;
};

// Polls an Interruption from one thread.
class CancellationPoll {
 public:
  // asks: whether this is the thread that made the call. The others only read the answer.
  CancellationPoll(Interruption& interruption, bool asks)
      : interruption_(&interruption), asks_(asks), left_(work_before_next_clock_read()) {}

  // Whether the call is cancelled. work: done since the last check, in multiply-adds or what takes as long. Reading a
  // clock costs as much as a small step, so it is read once per work_between_clock_reads.
  bool cancelled(index_t work, const char* place = __builtin_FUNCTION()) {
    if (asks_) {
      left_ -= work;
      if (left_ < 0) ask_if_due(place);
    }
    return interruption_->requested();
  }
  // The same after a pause of any length: it always reads the clock.
  bool cancelled_after_pause(const char* place = __builtin_FUNCTION()) {
    if (asks_) ask_if_due(place);
    return interruption_->requested();
  }

 private:
  static constexpr index_t work_between_clock_reads = 1'000'000;
  static constexpr index_t no_work = -1;  // negative: the next check is due

  index_t work_before_next_clock_read() const {
    return interruption_->asked() == Interruption::Asked::at_every_check ? no_work : work_between_clock_reads;
  }
  // Asks the Interruption if the interval has passed.
  void ask_if_due(const char* place);

  Interruption* interruption_;
  bool asks_;
  index_t left_;
  std::chrono::steady_clock::time_point next_question_{};  // the epoch: not begun
};

// The work of copying an element: the first write to fresh memory is slow.
inline constexpr index_t copy_work = 5;

// The most multiply-adds of one call of a kernel or of BLAS, as far as its rows can be divided: so a thread checks at
// least every 10 ms or so, 60 ms where vectors are narrow and elements wide.
inline constexpr index_t longest_absence = 500'000'000;

// The rows of the longest such call.
inline constexpr index_t rows_at_once(index_t multiply_adds_per_row) {
  return multiply_adds_per_row < longest_absence ? longest_absence / (multiply_adds_per_row + 1) + 1 : 1;
}

}  // namespace lstm_native
