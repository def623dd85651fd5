// tests/kernels: numbers to try kernels with, and the comparison with what they should give.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "common/types.hpp"
#include "kernels/kernel_table.hpp"

namespace lstm_native::tests {

template <class Real>
using Values = std::vector<Real>;
using Reference = std::vector<double>;

template <class Real>
const kernels::KernelsOf<Real>& kernels_of(const kernels::KernelTable& table) {
  if constexpr (sizeof(Real) == sizeof(float)) {
    return table.float32;
  } else {
    return table.float64;
  }
}

template <class Real>
index_t lanes_of(const kernels::KernelTable& table) {
  return table.vector_bytes / static_cast<index_t>(sizeof(Real));
}

inline std::size_t at(index_t index) { return static_cast<std::size_t>(index); }

// Uniform in [-1, 1], the same numbers at each run.
template <class Real>
Values<Real> draw(index_t count) {
  static std::mt19937_64 generator(1);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  Values<Real> values(at(count));
  for (Real& value : values) value = static_cast<Real>(uniform(generator));
  return values;
}

// Counts comparisons; prints those that fail.
class Checks {
 public:
  explicit Checks(std::string what) : what_(std::move(what)) {}

  void that(bool holds, const std::string& detail) {
    ++done_;
    if (!holds) {
      ++failed_;
      std::printf("%s: %s\n", what_.c_str(), detail.c_str());
    }
  }

  // The sums of the kernels have up to some hundred terms below 1, so that rounding leaves this much.
  template <class Real>
  void close(const Values<Real>& got, const Reference& expected, const std::string& detail) {
    const double tolerance = sizeof(Real) == sizeof(float) ? 2e-5 : 1e-12;
    double worst = 0.0;
    bool comparable = got.size() == expected.size();
    for (std::size_t k = 0; comparable && k < got.size(); ++k) {
      const double error = std::abs(static_cast<double>(got[k]) - expected[k]);
      comparable = error == error;
      worst = std::max(worst, error / std::max(1.0, std::abs(expected[k])));
    }
    that(comparable && worst <= tolerance, detail + ": error " + std::to_string(worst));
  }

  int done() const { return done_; }
  int failed() const { return failed_; }

 private:
  std::string what_;
  int done_ = 0;
  int failed_ = 0;
};

struct NamedCell {
  const char* name;
  CellSpec spec;
};

// Of the general cell every property, and every activation in some place.
inline const std::vector<NamedCell>& cells() {
  using A = Activation;
  const auto general = [](ActivationSpec gates, ActivationSpec candidate, ActivationSpec output, double clip,
                          bool input_forget, bool peepholes) {
    return CellSpec{CellKind::general, gates, candidate, output, clip, input_forget, peepholes};
  };
  static const std::vector<NamedCell> all{
      {"standard cell", {}},
      {"coupled cell", {CellKind::coupled}},
      {"bounded cell", general({A::sigmoid}, {A::tanh}, {A::tanh}, 0.5, false, false)},
      {"cell with peepholes", general({A::sigmoid}, {A::tanh}, {A::tanh}, 0.0, false, true)},
      {"coupled cell with peepholes and a bound",
       general({A::hard_sigmoid, 0.3, 0.4}, {A::elu, 0.8}, {A::softsign}, 0.7, true, true)},
      {"softplus, scaled tanh, leaky relu",
       general({A::softplus}, {A::scaled_tanh, 0.7, 1.2}, {A::leaky_relu, 0.1}, 0.0, false, false)},
      {"affine, relu, thresholded relu",
       general({A::affine, 0.4, 0.1}, {A::relu}, {A::thresholded_relu, -2.0}, 0.0, false, false)},
  };
  return all;
}

inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

inline double activated(const ActivationSpec& spec, double x) {
  switch (spec.kind) {
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return std::tanh(x);
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::affine:
      return spec.alpha * x + spec.beta;
    case Activation::leaky_relu:
      return x < 0.0 ? spec.alpha * x : x;
    case Activation::thresholded_relu:
      return x > spec.alpha ? x : 0.0;
    case Activation::scaled_tanh:
      return spec.alpha * std::tanh(spec.beta * x);
    case Activation::hard_sigmoid:
      return std::min(1.0, std::max(0.0, spec.alpha * x + spec.beta));
    case Activation::elu:
      return x > 0.0 ? x : spec.alpha * std::expm1(x);
    case Activation::softsign:
      return x / (1.0 + std::abs(x));
    case Activation::softplus:
      return std::log1p(std::exp(x));
  }
  return x;
}

inline double derivative(const ActivationSpec& spec, double x) {
  const double y = activated(spec, x);
  switch (spec.kind) {
    case Activation::sigmoid:
      return y * (1.0 - y);
    case Activation::tanh:
      return 1.0 - y * y;
    case Activation::relu:
      return x > 0.0 ? 1.0 : 0.0;
    case Activation::affine:
      return spec.alpha;
    case Activation::leaky_relu:
      return x > 0.0 ? 1.0 : spec.alpha;
    case Activation::thresholded_relu:
      return x > spec.alpha ? 1.0 : 0.0;
    case Activation::scaled_tanh:
      return spec.alpha * spec.beta * (1.0 - std::tanh(spec.beta * x) * std::tanh(spec.beta * x));
    case Activation::hard_sigmoid:
      return y > 0.0 && y < 1.0 ? spec.alpha : 0.0;
    case Activation::elu:
      return x > 0.0 ? 1.0 : spec.alpha * std::exp(x);
    case Activation::softsign:
      return 1.0 / ((1.0 + std::abs(x)) * (1.0 + std::abs(x)));
    case Activation::softplus:
      return sigmoid(x);
  }
  return 0.0;
}

inline double bounded(const CellSpec& cell, double x) {
  return cell.clip == 0.0 ? x : std::min(cell.clip, std::max(-cell.clip, x));
}

template <class Real>
void check_forward(const kernels::KernelTable& table, Checks& checks);
template <class Real>
void check_backward(const kernels::KernelTable& table, Checks& checks);
template <class Real>
void check_passes(const kernels::KernelTable& table, Checks& checks);
void check_interruption(Checks& checks);
void check_threads(Checks& checks);
void check_grants(Checks& checks);
void check_lock(Checks& checks);
void check_flushing(Checks& checks);

}  // namespace lstm_native::tests
