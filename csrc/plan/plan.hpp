// plan: everything about one call that is decided before it runs: the kernels, how the work is cut, how many threads.
//
// The cuts depend on the shape alone, never on the number of threads: BLAS may round a row differently in a block of
// another size, and results must be the same bits for any number of threads.
#pragma once

#include "common/types.hpp"
#include "kernels/kernel_table.hpp"
#include "plan/active_rows.hpp"
#include "plan/problem.hpp"

namespace lstm_native::plan {

// A half-open range.
struct Span {
  index_t begin;
  index_t end;
  index_t size() const { return end - begin; }
};

// A range cut into blocks of one size, the last of which may be shorter.
struct Blocks {
  index_t total = 0;
  index_t block = 1;
  index_t count() const { return (total + block - 1) / block; }
  Span operator[](index_t k) const {
    const index_t begin = k * block;
    return {begin, begin + block < total ? begin + block : total};
  }
};

struct Plan {
  explicit Plan(Problem unchecked_problem);  // throws as check() does

  Problem problem;
  ActiveRows rows;
  const kernels::KernelTable& kernels;
  Blocks recurrence_rows;     // batch rows that walk through the steps together
  Blocks projection_rows;     // time-major rows of one input-projection product
  Blocks projection_columns;  // pre-activations of one input-projection product
  int projection_threads(index_t layer) const;
  int recurrence_threads() const;

 private:
  int worthwhile_threads(double multiply_adds) const;
};

template <class Real>
const kernels::KernelsOf<Real>& kernels_of(const Plan& plan);
template <>
inline const kernels::KernelsOf<float>& kernels_of<float>(const Plan& plan) {
  return plan.kernels.float32;
}
template <>
inline const kernels::KernelsOf<double>& kernels_of<double>(const Plan& plan) {
  return plan.kernels.float64;
}

}  // namespace lstm_native::plan
