// common: how a call that computes for long ends before it is done.
#pragma once

#include <atomic>
#include <chrono>

#include "common/aligned_buffer.hpp"
#include "common/types.hpp"

namespace lstm_native {

// One place at which a thread can leave a call, as it passes.
struct Check {
  const char* place;  // the function that it stands in
  index_t work;       // what the thread says it has done since its last check
};

// One per call. Its caller is asked now and then whether to go on; once the answer is to cancel, all threads of the
// call leave where they are, and their results are discarded.
class alignas(cache_line_bytes) Interruption {
 public:
  // Runs on the thread that made the call; true cancels the call.
  using Question = bool (*)(void* whom, const Check& check);
  // When the question is asked. Tests ask at every check of the calling thread, so that they need no clock.
  enum class Asked { at_intervals, at_every_check };
  static constexpr std::chrono::milliseconds interval{50};

  Interruption(Question question, void* whom, Asked asked = Asked::at_intervals)
      : question_(question), whom_(whom), asked_(asked) {}
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  bool requested() const { return requested_.load(std::memory_order_relaxed); }
  Asked asked() const { return asked_; }
  // Never asked again once cancelled: the reason is then set, as Python's exceptions are.
  void ask(const Check& check) {
    if (!requested() && question_(whom_, check)) requested_.store(true, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> requested_{false};
  Question question_;
  void* whom_;
  Asked asked_;
};

// Polls an Interruption from one thread.
class Watch {
 public:
  // asks: this is the thread that made the call.
  Watch(Interruption& interruption, bool asks)
      : interruption_(&interruption), asks_(asks), left_(work_before_next_look()) {}

  // Whether to leave, after so much work: multiply-adds, or what takes as long. Reading a clock costs as much as a
  // small step, so it is read only where enough has been done since the last time.
  bool stops(index_t work, const char* place = __builtin_FUNCTION()) {
    if (asks_ && (left_ -= work) < 0) look(place);
    return interruption_->requested();
  }
  // The same after giving way to other threads, which may have taken any time.
  bool stops_after_a_pause(const char* place = __builtin_FUNCTION()) {
    if (asks_) look(place);
    return interruption_->requested();
  }

 private:
  static constexpr index_t work_between_looks = 1'000'000;
  static constexpr index_t no_work = -1;  // the next check looks, whatever it reports

  index_t work_before_next_look() const {
    return interruption_->asked() == Interruption::Asked::at_every_check ? no_work : work_between_looks;
  }
  // Asks if it is time to.
  void look(const char* place);

  Interruption* interruption_;
  bool asks_;
  index_t left_;
  std::chrono::steady_clock::time_point next_question_{};  // the epoch: not begun
};

// What copying an element counts as: memory that nobody has touched yet is slow to write.
inline constexpr index_t copy_work = 5;

// A call of a kernel or of BLAS does at most about so many multiply-adds where its rows allow, so that no thread is
// away from its watch for long: some 10 ms, and 60 ms where vectors are narrow and elements wide.
inline constexpr index_t longest_absence = 500'000'000;

// How many rows make such a call, of so many multiply-adds each.
inline constexpr index_t rows_at_once(index_t multiply_adds_per_row) {
  return multiply_adds_per_row < longest_absence ? longest_absence / (multiply_adds_per_row + 1) + 1 : 1;
}

}  // namespace lstm_native
