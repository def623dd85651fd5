// blas: the products that the library needs, typed, on CBLAS. Our own threads call it; each call computes on the
// calling thread only.
#pragma once

#include <string>

#include "common/types.hpp"
#include "common/views.hpp"

namespace lstm_native::blas {

// Whether multiply_transposed can read this matrix without a copy: one stride is 1, the other spans a row or a column,
// and all sizes and strides fit BLAS's integers.
template <class Real>
bool readable(const MatrixView<const Real>& weight);

// result (rows, weight.rows) = input (rows, weight.columns) * weight^T, or += if accumulate.
// input's rows are input_stride apart, result's result_stride; both are contiguous within a row. weight is readable().
// result must not overlap the others; unless accumulate, it is not read.
template <class Real>
void multiply_transposed(index_t rows, const Real* input, index_t input_stride, const MatrixView<const Real>& weight,
                         Real* result, index_t result_stride, bool accumulate);

// Held while `threads` threads may call BLAS. OpenBLAS allocates working memory for each thread at its first call, and
// ends the process if it can't. So the constructor tries first, and throws std::bad_alloc.
class WorkingMemory {
 public:
  explicit WorkingMemory(int threads);
  ~WorkingMemory();
  WorkingMemory(const WorkingMemory&) = delete;
  WorkingMemory& operator=(const WorkingMemory&) = delete;

 private:
  int threads_;
};

#ifdef LSTM_NATIVE_BUNDLED_OPENBLAS
inline constexpr bool bundled = true;
#else
inline constexpr bool bundled = false;
#endif

struct Library {
  std::string name;
  std::string version;  // the library's file, if the library can't report its version
  std::string kernel;   // the kernels that the library chose for this CPU
  int threads;          // of the library's own pool; 0: unknown
};

Library describe();

}  // namespace lstm_native::blas
