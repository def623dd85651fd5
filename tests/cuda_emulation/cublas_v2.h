// A stand-in for the parts of cuBLAS that csrc/cuda uses: products through CBLAS, on memory that is checked word by
// word.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "cuda_runtime.h"

#ifdef LSTM_NATIVE_BUNDLED_OPENBLAS
#define EMULATED_CBLAS(name) scipy_cblas_##name
#else
#define EMULATED_CBLAS(name) cblas_##name
#endif
extern "C" {
void EMULATED_CBLAS(sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                           const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
void EMULATED_CBLAS(dgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha,
                           const double* a, int lda, const double* b, int ldb, double beta, double* c, int ldc);
}

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
};
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_64F = 1 };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_64F = 70, CUBLAS_COMPUTE_32F_FAST_TF32 = 77 };
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT = -1 };

struct EmulatedCublas {
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
};
using cublasHandle_t = EmulatedCublas*;

namespace cuda_emulation {

inline auto product_of(float) { return EMULATED_CBLAS(sgemm); }
inline auto product_of(double) { return EMULATED_CBLAS(dgemm); }

// Ten bits of mantissa, rounded to the nearest, ties to even.
inline float as_tf32(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7F800000U) == 0x7F800000U) return value;
  bits = (bits + 0xFFFU + ((bits >> 13U) & 1U)) & ~0x1FFFU;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

template <class Real>
struct Operand {
  const Real* data;
  int rows, columns, ld;  // in columns that are contiguous

  // The addresses of its elements, after all were checked; of rounded copies where that is asked for.
  const Real* checked(bool tf32, std::vector<Real>& copy) const {
    Memory& memory = machine().memory;
    const Real* first = nullptr;
    for (int column = columns - 1; column >= 0; --column) {
      first = reinterpret_cast<const Real*>(
          memory.read(data + static_cast<std::ptrdiff_t>(column) * ld, static_cast<std::size_t>(rows) * sizeof(Real)));
    }
    if (!tf32) return first;
    copy.assign(static_cast<std::size_t>(ld) * static_cast<std::size_t>(columns), Real{0});
    for (int column = 0; column < columns; ++column) {
      for (int row = 0; row < rows; ++row) {
        const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(column) * ld + row;
        copy[static_cast<std::size_t>(at)] = static_cast<Real>(as_tf32(static_cast<float>(first[at])));
      }
    }
    return copy.data();
  }
};

struct Product {
  bool transpose_a, transpose_b;
  int m, n, k, lda, ldb, ldc, count;
  long long stride_a, stride_b, stride_c;
  bool tf32;
};

template <class Real>
void multiply(const Product& p, Real alpha, const Real* a, const Real* b, Real beta, Real* c) {
  for (int batch = 0; batch < p.count; ++batch) {
    running.thread = static_cast<std::uint32_t>(batch) + 1;
    std::vector<Real> copy_a, copy_b;
    const Operand<Real> left{a + batch * p.stride_a, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.lda};
    const Operand<Real> right{b + batch * p.stride_b, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.ldb};
    const Real* from_a = left.checked(p.tf32, copy_a);
    const Real* from_b = right.checked(p.tf32, copy_b);
    Memory& memory = machine().memory;
    Real* to = nullptr;
    running.thread += 0x10000;  // so that a result which overlaps an operand is a conflict
    for (int column = p.n - 1; column >= 0; --column) {
      Real* place = c + batch * p.stride_c + static_cast<std::ptrdiff_t>(column) * p.ldc;
      const std::size_t bytes = static_cast<std::size_t>(p.m) * sizeof(Real);
      if (beta != Real{0}) memory.read(place, bytes);
      to = reinterpret_cast<Real*>(memory.write(place, bytes));
    }
    product_of(Real{})(102, p.transpose_a ? 112 : 111, p.transpose_b ? 112 : 111, p.m, p.n, p.k, alpha, from_a, p.lda,
                       from_b, p.ldb, beta, to, p.ldc);
  }
}

}  // namespace cuda_emulation

inline cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new EmulatedCublas;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  handle->workspace = nullptr;  // as cuBLAS does
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t) {
  handle->workspace = workspace;
  return CUBLAS_STATUS_SUCCESS;
}
inline const char* cublasGetStatusString(cublasStatus_t status) {
  static thread_local std::string text;
  if (status != CUBLAS_STATUS_EXECUTION_FAILED) return "CUBLAS_STATUS_INVALID_VALUE";
  text = "CUBLAS_STATUS_EXECUTION_FAILED, emulated: " + cuda_emulation::machine().violation;
  return text.c_str();
}

inline cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                                 cublasOperation_t transb, int m, int n, int k, const void* alpha,
                                                 const void* a, cudaDataType_t type_a, int lda, long long stride_a,
                                                 const void* b, cudaDataType_t type_b, int ldb, long long stride_b,
                                                 const void* beta, void* c, cudaDataType_t type_c, int ldc,
                                                 long long stride_c, int count, cublasComputeType_t compute,
                                                 cublasGemmAlgo_t) {
  using namespace cuda_emulation;
  const bool is_double = type_a == CUDA_R_64F;
  if (m < 0 || n < 0 || k < 0 || count < 0 || lda < (transa == CUBLAS_OP_N ? m : k) || lda < 1 ||
      ldb < (transb == CUBLAS_OP_N ? k : n) || ldb < 1 || ldc < m || ldc < 1 || type_b != type_a || type_c != type_a ||
      is_double != (compute == CUBLAS_COMPUTE_64F)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const Product product{transa == CUBLAS_OP_T,
                        transb == CUBLAS_OP_T,
                        m,
                        n,
                        k,
                        lda,
                        ldb,
                        ldc,
                        count,
                        stride_a,
                        stride_b,
                        stride_c,
                        compute == CUBLAS_COMPUTE_32F_FAST_TF32};
  const double alpha_value = is_double ? *static_cast<const double*>(alpha) : *static_cast<const float*>(alpha);
  const double beta_value = is_double ? *static_cast<const double*>(beta) : *static_cast<const float*>(beta);
  const cudaError_t error = guarded([&]() -> cudaError_t {
    Stream* stream = stream_of(handle->stream);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr && handle->workspace == nullptr) {
      throw Violation("a captured product without a workspace of its own");
    }
    void* workspace = handle->workspace;
    machine().enqueue(*stream, "cublasGemmStridedBatchedEx", [=] {
      ++machine().injected.products;
      if (workspace != nullptr) machine().memory.write(workspace, sizeof(float));  // two at once would spoil each other
      if (m == 0 || n == 0) return;
      if (is_double) {
        multiply(product, alpha_value, static_cast<const double*>(a), static_cast<const double*>(b), beta_value,
                 static_cast<double*>(c));
      } else {
        multiply(product, static_cast<float>(alpha_value), static_cast<const float*>(a), static_cast<const float*>(b),
                 static_cast<float>(beta_value), static_cast<float*>(c));
      }
    });
    return cudaSuccess;
  });
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
