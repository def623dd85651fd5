#include "kernels/dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

#if defined(LSTM_NATIVE_AVX2_KERNELS) || defined(LSTM_NATIVE_AVX512_KERNELS)
#define LSTM_NATIVE_X86_KERNELS
#include <cpuid.h>
#endif
#if defined(LSTM_NATIVE_NEON_KERNELS) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace lstm_native::kernels {

namespace baseline {
extern const KernelTable table;
}
#ifdef LSTM_NATIVE_AVX2_KERNELS
namespace avx2 {
extern const KernelTable table;
extern const KernelTable table_integer_dot;
}  // namespace avx2
#endif
#ifdef LSTM_NATIVE_AVX512_KERNELS
namespace avx512 {
extern const KernelTable table;
extern const KernelTable table_integer_dot;
extern const KernelTable table_bfloat16_dot;
}  // namespace avx512
#endif

#ifdef LSTM_NATIVE_NEON_KERNELS
namespace neon {
extern const KernelTable table;
extern const KernelTable table_integer_dot;
}  // namespace neon
#endif

#ifdef LSTM_NATIVE_X86_KERNELS
namespace {

// Clang 14's __builtin_cpu_supports does not know the name.
bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & static_cast<unsigned>(bit_F16C)) != 0;
}

#ifdef LSTM_NATIVE_AVX2_KERNELS
bool has_avx_vnni() {
  constexpr unsigned bit = 1U << 4U;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & bit) != 0;
}
#endif

}  // namespace
#endif

#ifdef LSTM_NATIVE_NEON_KERNELS
namespace {

bool has_dot_product() {
#if defined(__ARM_FEATURE_DOTPROD)
  return true;
#elif defined(__linux__)
  constexpr unsigned long bit = 1UL << 20U;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & bit) != 0;
#else
  return false;
#endif
}

}  // namespace
#endif

const std::vector<Implementation>& built() {
  static const std::vector<Implementation> implementations = [] {
    std::vector<Implementation> found;
#ifdef LSTM_NATIVE_X86_KERNELS
    // These builtins also ask whether the operating system supports the registers (XCR0).
    __builtin_cpu_init();
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
#endif
#ifdef LSTM_NATIVE_AVX512_KERNELS
    const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    const bool has_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
    found.push_back({&avx512::table_bfloat16_dot, has_vnni && __builtin_cpu_supports("avx512bf16")});
    found.push_back({&avx512::table_integer_dot, has_vnni});
    found.push_back({&avx512::table, has_avx512});
#endif
#ifdef LSTM_NATIVE_AVX2_KERNELS
    found.push_back({&avx2::table_integer_dot, has_avx2 && has_avx_vnni()});
    found.push_back({&avx2::table, has_avx2});
#endif
#ifdef LSTM_NATIVE_NEON_KERNELS
    found.push_back({&neon::table_integer_dot, has_dot_product()});
    found.push_back({&neon::table, true});
#endif
    found.push_back({&baseline::table, true});
    return found;
  }();
  return implementations;
}

const KernelTable& find(const std::string& isa) {
  std::string runnable;
  for (const Implementation& implementation : built()) {
    if (!implementation.supported) continue;
    if (isa == implementation.table->isa) return *implementation.table;
    if (!runnable.empty()) runnable += ", ";
    runnable += implementation.table->isa;
  }
  throw std::invalid_argument("ISA '" + isa + "' can't run here: this build on this CPU can run " + runnable);
}

const KernelTable& in_use() {
  static const KernelTable& table = []() -> const KernelTable& {
    const char* forced = std::getenv("LSTM_NATIVE_ISA");
    if (forced != nullptr && *forced != '\0') {
      try {
        return find(forced);
      } catch (const std::invalid_argument& reason) {
        throw std::invalid_argument(std::string("environment variable LSTM_NATIVE_ISA: ") + reason.what());
      }
    }
    for (const Implementation& implementation : built()) {
      if (implementation.supported) return *implementation.table;
    }
    throw std::logic_error("the baseline kernels are always supported");
  }();
  return table;
}

}  // namespace lstm_native::kernels
