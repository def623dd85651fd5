// cuda: the cells' formulas (kernels/generic/cells) for one unit in each thread.
#pragma once

#include <cuda_runtime.h>

#include <cmath>

#include "common/cell_spec.hpp"
#include "common/types.hpp"

namespace lstm_native::cuda {

template <class Real, int count>
struct UnitValues {
  Real of[count];
};

template <class Real>
struct UnitArithmetic {
  using Value = Real;
  template <int count>
  using Values = UnitValues<Real, count>;
  __device__ static Value of(double value) { return static_cast<Real>(value); }
  __device__ static bool rounds_to_zero(double value) { return static_cast<Real>(value) == Real{0}; }
};

template <class Real>
__device__ Real multiply_add(Real a, Real b, Real c) {
  return a * b + c;  // nvcc fuses it
}

template <Activation kind, class Real>
__device__ Real activated(Real x) {
  if constexpr (kind == Activation::sigmoid) {
    return Real{1} / (Real{1} + std::exp(-x));
  } else {
    return std::tanh(x);
  }
}

// One activation for each value.
template <Activation... kinds, class Real, int count>
__device__ UnitValues<Real, count> side_by_side(const UnitValues<Real, count>& x) {
  static_assert(sizeof...(kinds) == count, "one activation for each value");
  int k = 0;
  return {{activated<kinds>(x.of[k++])...}};
}

template <class Real, int count>
__device__ UnitValues<Real, count> tanh(const UnitValues<Real, count>& x) {
  UnitValues<Real, count> result;
  for (int k = 0; k < count; ++k) result.of[k] = std::tanh(x.of[k]);
  return result;
}

template <class Real, int count>
__device__ UnitValues<Real, count> sigmoid(const UnitValues<Real, count>& x) {
  UnitValues<Real, count> result;
  for (int k = 0; k < count; ++k) result.of[k] = activated<Activation::sigmoid>(x.of[k]);
  return result;
}

template <class Real>
__device__ Real exp_minus_one(Real x) {
  return std::expm1(x);
}

template <class Real>
__device__ Real log_one_plus_exp(Real x) {
  return std::log1p(std::exp(x));
}

#define LSTM_NATIVE_CELL_CODE __device__ inline
#define LSTM_NATIVE_CELL_BRANCHES __device__ inline
#include "kernels/generic/cells/table.inl"
#undef LSTM_NATIVE_CELL_CODE
#undef LSTM_NATIVE_CELL_BRANCHES

// What the kernels compute: the host refuses other cells.
template <class Real>
using UnitCell = StandardCell<UnitArithmetic<Real>>;

template <class Real>
using UnitGates = UnitValues<Real, static_cast<int>(gate_count)>;

// o * tanh(c): the hidden state, from a tape.
template <class Real>
__device__ Real hidden_of(Real output, Real cell) {
  return UnitCell<Real>::hidden(output, UnitCell<Real>::activate_cell(UnitValues<Real, 1>{{cell}}).of[0]);
}

}  // namespace lstm_native::cuda
