// cuda: products of matrices in C order, on cuBLAS.
#pragma once

#include "common/types.hpp"
#include "cuda/resources.hpp"

namespace lstm_native::cuda {

// `count` matrices. stride: elements from each matrix to the next.
template <class Real>
struct Matrices {
  Real* data;
  index_t row_stride;
  index_t stride = 0;
};

struct ProductSizes {
  index_t rows, columns, sums;  // of the result, and how many products each of its elements adds up
  index_t count = 1;
};

// result (rows, columns) = left (rows, sums) right, or += if accumulate. left_transposed: left is stored as its
// transpose (sums, rows); right_transposed: right as (columns, sums). tf32: float32 is rounded to ten bits of mantissa
// on the way into the multipliers. An empty result costs nothing. Sizes must fit an int.
template <class Real>
void multiply(const Blas& blas, bool tf32, const ProductSizes& sizes, const Matrices<const Real>& left,
              bool left_transposed, const Matrices<const Real>& right, bool right_transposed,
              const Matrices<Real>& result, bool accumulate) {
  if (sizes.rows == 0 || sizes.columns == 0) return;
  constexpr bool is_float = sizeof(Real) == sizeof(float);
  const cudaDataType_t type = is_float ? CUDA_R_32F : CUDA_R_64F;
  const cublasComputeType_t compute =
      is_float ? (tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F) : CUBLAS_COMPUTE_64F;
  const Real one{1};
  const Real beta = accumulate ? Real{1} : Real{0};
  // cuBLAS is column-major: it reads each matrix as its transpose, so the product's operands change places.
  check(cublasGemmStridedBatchedEx(blas.get(), right_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                                   left_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, static_cast<int>(sizes.columns),
                                   static_cast<int>(sizes.rows), static_cast<int>(sizes.sums), &one, right.data, type,
                                   static_cast<int>(right.row_stride), right.stride, left.data, type,
                                   static_cast<int>(left.row_stride), left.stride, &beta, result.data, type,
                                   static_cast<int>(result.row_stride), result.stride, static_cast<int>(sizes.count),
                                   compute, CUBLAS_GEMM_DEFAULT),
        "cublasGemmStridedBatchedEx");
}

}  // namespace lstm_native::cuda
