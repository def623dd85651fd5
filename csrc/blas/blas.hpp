// blas: the products that the library needs, typed, on CBLAS. Called from our own threads; each call computes on the
// calling thread alone.
#pragma once

#include <string>

#include "common/types.hpp"
#include "common/views.hpp"

namespace lstm_native::blas {

// Whether multiply_transposed can read this matrix where it lies: one of its strides is 1, the other spans a row or a
// column, and all can be counted.
template <class Real>
bool readable(const MatrixView<const Real>& weight);

// result (rows, weight.rows) = input (rows, weight.columns) * weight^T, or += if accumulate.
// input's rows are input_stride apart, result's result_stride; both are contiguous within a row. weight is readable().
// result must not overlap the others; unless accumulate, it is not read.
template <class Real>
void multiply_transposed(index_t rows, const Real* input, index_t input_stride, const MatrixView<const Real>& weight,
                         Real* result, index_t result_stride, bool accumulate);

// Held while so many threads may call BLAS. OpenBLAS takes working memory for each at its first call, and ends the
// process where there is none: so this tries first, and throws std::bad_alloc instead.
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
  std::string version;  // of a library that can't be asked: its file
  std::string kernel;   // what the library chose for this CPU
  int threads;          // of the library's own pool; 0: unknown
};

Library describe();

}  // namespace lstm_native::blas
