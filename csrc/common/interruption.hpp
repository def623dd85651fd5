// common: how a call that computes for long ends before it is done.
#pragma once

#include <atomic>
#include <chrono>

#include "common/aligned_buffer.hpp"
#include "common/types.hpp"

namespace lstm_native {

// One per call. Its caller is asked now and then whether to go on; once it says no, all threads of the call leave where
// they are, and what they have computed is of no use.
class alignas(cache_line_bytes) Interruption {
 public:
  // Runs on the thread that made the call, at most every `interval`; true: the call is to end.
  using Question = bool (*)(void* whom);
  static constexpr std::chrono::milliseconds interval{50};

  Interruption(Question question, void* whom) : question_(question), whom_(whom) {}
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  bool requested() const { return requested_.load(std::memory_order_relaxed); }
  // Not again after a yes, whose reason is then set, as Python's exceptions are.
  void ask() {
    if (!requested() && question_(whom_)) requested_.store(true, std::memory_order_relaxed);
  }

 private:
  std::atomic<bool> requested_{false};
  Question question_;
  void* whom_;
};

// One thread's eye on it.
class Watch {
 public:
  // asks: this is the thread that made the call.
  Watch(Interruption& interruption, bool asks) : interruption_(&interruption), asks_(asks) {}

  // Whether to leave, said after so much work: multiply-adds, or what takes as long. Reading a clock costs as much as a
  // small step, so it is read only where enough has been done since the last time.
  bool stops(index_t work) {
    if (asks_ && (left_ -= work) < 0) look_at_clock();
    return interruption_->requested();
  }
  // The same after giving way to other threads, which may have taken any time.
  bool stops_after_a_pause() {
    if (asks_) look_at_clock();
    return interruption_->requested();
  }

 private:
  static constexpr index_t work_between_looks = 1'000'000;

  void look_at_clock();

  Interruption* interruption_;
  bool asks_;
  index_t left_ = work_between_looks;
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
