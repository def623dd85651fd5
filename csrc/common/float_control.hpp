// common: the floating-point unit's settings for the time that a thread computes.
#pragma once

#include <cstdint>

namespace lstm_native {

// Whether calls count subnormal numbers as zeros: a setting of the process. States and gradients that fade over many
// steps become subnormal, and operations on such numbers can take a hundred times as long.
bool flushes_subnormals();
void set_flush_subnormals(bool flush);

// While it exists, the thread that made it rounds to nearest, without traps; if `flush`, the thread reads subnormal
// numbers as zeros and writes zeros in their place. The destructor restores the thread's own settings, including the
// flags of exceptions. So all threads of a call compute the same, whatever the caller has set.
class FloatControl {
 public:
#if defined(__SSE__)
  using Word = unsigned;
  static Word get() { return __builtin_ia32_stmxcsr(); }
#elif defined(__aarch64__)
  using Word = std::uint64_t;
  static Word get() {
    Word control = 0;
    asm volatile("mrs %0, fpcr" : "=r"(control));
    return control;
  }
#else  // nothing to set
  using Word = unsigned;
  static Word get() { return 0; }
#endif

  explicit FloatControl(bool flush) : FloatControl(flush ? standard | flush_bits : standard) {}
  // Uses these settings instead.
  static FloatControl as(Word settings) { return FloatControl(settings); }
  ~FloatControl() { set(before_); }
  FloatControl(const FloatControl&) = delete;
  FloatControl& operator=(const FloatControl&) = delete;

 private:
#if defined(__SSE__)
  static constexpr Word standard = 0x1f80;    // MXCSR: exceptions masked
  static constexpr Word flush_bits = 0x8040;  // flush to zero, denormals are zero
  static void set(Word control) { __builtin_ia32_ldmxcsr(control); }
#elif defined(__aarch64__)
  static constexpr Word standard = 0;
  static constexpr Word flush_bits = Word{1} << 24U;  // FPCR: FZ
  static void set(Word control) { asm volatile("msr fpcr, %0" : : "r"(control)); }
#else
  static constexpr Word standard = 0;
  static constexpr Word flush_bits = 0;
  static void set(Word) {}
#endif

  explicit FloatControl(Word settings) : before_(get()) { set(settings); }

  Word before_;
};

}  // namespace lstm_native
