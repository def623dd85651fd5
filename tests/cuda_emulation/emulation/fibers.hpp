// emulation: threads of a launch that wait for each other, as contexts that one host thread switches between.
#pragma once

#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "emulation/memory.hpp"

namespace cuda_emulation {

class Fibers {
 public:
  // Runs body(k) for each k below count, in turns: a body runs until it waits or ends. before(k) is called whenever the
  // body of k is about to go on. What a body throws ends the run.
  void run(std::size_t count, const std::function<void(std::size_t)>& body,
           const std::function<void(std::size_t)>& before) {
    body_ = &body;
    error_ = nullptr;
    while (contexts_.size() < count) contexts_.push_back(std::make_unique<Context>());
    for (std::size_t k = 0; k < count; ++k) start(*contexts_[k], k);
    std::size_t ended = 0;
    while (ended < count) {
      const std::size_t events = events_;
      for (std::size_t k = 0; k < count; ++k) {
        Context& context = *contexts_[k];
        if (context.ended) continue;
        before(k);
        current_ = &context;
        swapcontext(&scheduler_, &context.state);
        current_ = nullptr;
        if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
        if (!context.ended) continue;
        ++ended;
        ++events_;
      }
      if (events_ == events) throw Violation("threads of a launch wait for what never comes");
    }
  }

  bool running() const { return current_ != nullptr; }
  // Lets the other bodies go on.
  void yield() { swapcontext(&current_->state, &scheduler_); }
  // Something happened that others may wait for.
  void tell() { ++events_; }

 private:
  struct Context {
    static constexpr std::size_t stack_bytes = std::size_t{128} << 10U;

    Context() {
      stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (stack == MAP_FAILED) throw std::bad_alloc();
    }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() { munmap(stack, stack_bytes); }

    ucontext_t state{};
    void* stack;
    std::size_t number = 0;
    bool ended = false;
  };

  void start(Context& context, std::size_t number) {
    context.number = number;
    context.ended = false;
    getcontext(&context.state);
    context.state.uc_stack.ss_sp = context.stack;
    context.state.uc_stack.ss_size = Context::stack_bytes;
    context.state.uc_link = &scheduler_;
    makecontext(&context.state, &Fibers::enter, 0);
  }

  static void enter();

  const std::function<void(std::size_t)>* body_ = nullptr;
  std::vector<std::unique_ptr<Context>> contexts_;  // kept for the next run
  ucontext_t scheduler_{};
  Context* current_ = nullptr;
  std::size_t events_ = 0;
  std::exception_ptr error_;
};

inline Fibers& fibers() {
  static thread_local auto* const made = new Fibers;
  return *made;
}

inline void Fibers::enter() {
  Fibers& all = fibers();
  Context& context = *all.current_;
  try {
    (*all.body_)(context.number);
  } catch (...) {
    all.error_ = std::current_exception();
  }
  context.ended = true;
}

}  // namespace cuda_emulation
