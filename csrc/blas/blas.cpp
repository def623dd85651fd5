#include "blas/blas.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <new>
#include <sstream>
#include <thread>

// Declared here, because cblas.h differs between vendors in place, prefix and enum types; the ABI does not.
#ifdef LSTM_NATIVE_BUNDLED_OPENBLAS
#define CBLAS_NAME(name) scipy_cblas_##name
#define OPENBLAS_NAME(name) scipy_openblas_##name
#else
#define CBLAS_NAME(name) cblas_##name
#define OPENBLAS_NAME(name) openblas_##name
#endif

#if defined(LSTM_NATIVE_BUNDLED_OPENBLAS) || defined(LSTM_NATIVE_SYSTEM_OPENBLAS)
#define IS_OPENBLAS
#endif

extern "C" {
void CBLAS_NAME(sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float* a,
                       int lda, const float* b, int ldb, float beta, float* c, int ldc);
void CBLAS_NAME(dgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha, const double* a,
                       int lda, const double* b, int ldb, double beta, double* c, int ldc);
void CBLAS_NAME(sgemv)(int order, int transpose, int m, int n, float alpha, const float* a, int lda, const float* x,
                       int incx, float beta, float* y, int incy);
void CBLAS_NAME(dgemv)(int order, int transpose, int m, int n, double alpha, const double* a, int lda, const double* x,
                       int incx, double beta, double* y, int incy);
#ifdef IS_OPENBLAS
char* OPENBLAS_NAME(get_config)();
char* OPENBLAS_NAME(get_corename)();
int OPENBLAS_NAME(get_num_threads)();
#endif
}

namespace lstm_native::blas {
namespace {

constexpr std::chrono::microseconds nap{50};

std::atomic<int> in_flight{0};  // threads currently inside BLAS
std::atomic<int> forks{0};      // in progress

// Counts a call of the library as in flight. Such a call locks the library's memory for a moment; a fork meanwhile
// would leave it locked in the child for ever. So a fork waits until no call is in flight.
class InFlight {
 public:
  InFlight() {
    while (!begins()) std::this_thread::sleep_for(nap);
  }
  ~InFlight() { --in_flight; }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

 private:
  static bool begins() {
    ++in_flight;
    if (forks == 0) return true;
    --in_flight;
    return false;
  }
};

constexpr int row_major = 101;
constexpr int no_transpose = 111;
constexpr int transpose = 112;

constexpr auto gemm_of(float) { return CBLAS_NAME(sgemm); }
constexpr auto gemm_of(double) { return CBLAS_NAME(dgemm); }
constexpr auto gemv_of(float) { return CBLAS_NAME(sgemv); }
constexpr auto gemv_of(double) { return CBLAS_NAME(dgemv); }

// The stride of a single row or column is never used, so it may have any value.
template <class Real>
bool rows_contiguous(const MatrixView<const Real>& m) {
  return (m.column_stride == 1 || m.columns == 1) && (m.row_stride >= m.columns || m.rows == 1);
}
template <class Real>
bool columns_contiguous(const MatrixView<const Real>& m) {
  return (m.row_stride == 1 || m.rows == 1) && (m.column_stride >= m.rows || m.columns == 1);
}

// The library's sizes and strides have 32 bits.
bool can_count(index_t size) { return size <= INT_MAX; }

}  // namespace

template <class Real>
bool readable(const MatrixView<const Real>& weight) {
  return (rows_contiguous(weight) || columns_contiguous(weight)) && can_count(weight.rows) &&
         can_count(weight.columns) && can_count(weight.row_stride) && can_count(weight.column_stride);
}

template <class Real>
void multiply_transposed(index_t rows, const Real* input, index_t input_stride, const MatrixView<const Real>& weight,
                         Real* result, index_t result_stride, bool accumulate) {
  const bool as_rows = rows_contiguous(weight);
  const auto stride = static_cast<int>(as_rows ? std::max(weight.row_stride, weight.columns)
                                               : std::max(weight.column_stride, weight.rows));
  const auto outputs = static_cast<int>(weight.rows);
  const auto inputs = static_cast<int>(weight.columns);
  const InFlight call;
  const Real beta = accumulate ? Real{1} : Real{0};
  if (rows == 1) {
    // Read as row-major, a matrix with contiguous columns is its own transpose.
    gemv_of(Real{})(row_major, as_rows ? no_transpose : transpose, as_rows ? outputs : inputs,
                    as_rows ? inputs : outputs, Real{1}, weight.data, stride, input, 1, beta, result, 1);
    return;
  }
  gemm_of(Real{})(row_major, no_transpose, as_rows ? transpose : no_transpose, static_cast<int>(rows), outputs, inputs,
                  Real{1}, input, static_cast<int>(input_stride), weight.data, stride, beta, result,
                  static_cast<int>(result_stride));
}

template bool readable<float>(const MatrixView<const float>&);
template bool readable<double>(const MatrixView<const double>&);
template void multiply_transposed<float>(index_t, const float*, index_t, const MatrixView<const float>&, float*,
                                         index_t, bool);
template void multiply_transposed<double>(index_t, const double*, index_t, const MatrixView<const double>&, double*,
                                          index_t, bool);

namespace {

std::atomic<int> calling{0};   // threads that may call BLAS now
std::atomic<int> provided{0};  // the most threads that had memory so far; OpenBLAS keeps it

thread_local int own_calling = 0;

void before_fork() {
  ++forks;
  constexpr auto longest = std::chrono::seconds(2);  // many times a thread's longest_absence
  const auto end = std::chrono::steady_clock::now() + longest;
  while (in_flight > 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(nap);
}

void in_parent() { --forks; }

// The child has no other threads, so nothing of theirs is in flight.
void in_forked_child() {
  forks = 0;
  in_flight = 0;
  calling = own_calling;
}

[[maybe_unused]] const int registered = pthread_atfork(before_fork, in_parent, in_forked_child);

}  // namespace

WorkingMemory::WorkingMemory(int threads) : threads_(threads) {
  const int now = calling += threads;
#ifdef IS_OPENBLAS
  constexpr std::size_t per_thread = std::size_t{33} << 20U;  // its BUFFER_SIZE, and room to align it
  int before = provided;
  while (now > before) {
    const std::size_t bytes = per_thread * static_cast<std::size_t>(now - before);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      calling -= threads;
      throw std::bad_alloc();
    }
    munmap(memory, bytes);
    if (provided.compare_exchange_weak(before, now)) break;
  }
#endif
  own_calling += threads;
}

WorkingMemory::~WorkingMemory() {
  own_calling -= threads_;
  calling -= threads_;
}

#ifdef IS_OPENBLAS

Library describe() {
  // get_config() begins "OpenBLAS 0.3.34 ...".
  std::istringstream config(OPENBLAS_NAME(get_config)());
  Library library{};
  config >> library.name >> library.version;
  library.kernel = OPENBLAS_NAME(get_corename)();
  library.threads = OPENBLAS_NAME(get_num_threads)();
  return library;
}

#else

Library describe() { return {"BLAS", LSTM_NATIVE_BLAS_LIBRARIES, "unknown", 0}; }

#endif

}  // namespace lstm_native::blas
