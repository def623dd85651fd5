// tests/kernels: numbers to try kernels with, and the comparison with what they should give.
#pragma once

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

constexpr CellKind cells[] = {CellKind::standard, CellKind::coupled};

inline std::string cell_name(CellKind cell) { return cell == CellKind::standard ? "standard cell" : "coupled cell"; }

inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

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
