// common: subnormal numbers off for a while, on the calling thread.
#pragma once

#include <cstdint>

namespace lstm_native {

// For as long as it lives, the thread that made it reads subnormal numbers as zeros and writes zeros in their place;
// then the thread's own setting is back. Gradients that fade over many steps end up there, where an operation can take
// a hundred times as long. Nothing where the CPU has no such setting.
class FlushSubnormals {
 public:
  FlushSubnormals() : before_(get()) { set(before_ | flush_bits); }
  ~FlushSubnormals() { set(before_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
#if defined(__SSE__)
  using Control = unsigned;
  static constexpr Control flush_bits = 0x8040;  // MXCSR: flush to zero, denormals are zero
  static Control get() { return __builtin_ia32_stmxcsr(); }
  static void set(Control control) { __builtin_ia32_ldmxcsr(control); }
#elif defined(__aarch64__)
  using Control = std::uint64_t;
  static constexpr Control flush_bits = std::uint64_t{1} << 24U;  // FPCR: FZ
  static Control get() {
    Control control = 0;
    asm volatile("mrs %0, fpcr" : "=r"(control));
    return control;
  }
  static void set(Control control) { asm volatile("msr fpcr, %0" : : "r"(control)); }
#else
  using Control = unsigned;
  static constexpr Control flush_bits = 0;
  static Control get() { return 0; }
  static void set(Control) {}
#endif

  Control before_;
};

}  // namespace lstm_native
