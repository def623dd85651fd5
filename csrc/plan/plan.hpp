// plan: everything about one call that is decided before it runs: the kernels, how the steps are cut, how the threads
// share each layer.
//
// What could change a result's bits depends on the shape and the weights' layout alone, never on the number of threads.
#pragma once

#include <string>
#include <vector>

#include "common/types.hpp"
#include "kernels/kernel_table.hpp"
#include "plan/active_rows.hpp"
#include "plan/problem.hpp"
#include "plan/split.hpp"

namespace lstm_native::plan {

// A half-open range.
struct Span {
  index_t begin;
  index_t end;
  index_t size() const { return end - begin; }
};

// The k-th of `parts` nearly equal parts of [0, total).
Span part_of(index_t total, int parts, int k);

enum class WeightDtype { native, float16, bfloat16 };

// std::invalid_argument for any other name.
WeightDtype weight_dtype_named(const std::string& name);

struct Plan {
  // Throws as check() does. `to_run`: with all that the call needs beside what is decided, which may take memory in
  // proportion to its steps.
  Plan(Problem unchecked_problem, Dtype dtype, WeightDtype weight_dtype, bool packed_weights, bool to_run = true);

  Problem problem;
  ActiveRows rows;
  const kernels::KernelTable& kernels;
  Dtype dtype;
  WeightDtype weight_dtype;
  index_t lanes;        // units per block
  index_t blocks;       // of units, per direction
  bool fused_input;     // the input projection is part of the step, where the weights are packed
  index_t chunk_steps;  // the input is projected for so many steps at a time
  bool wavefront;       // a thread per layer, each a chunk of steps behind the one below
  int threads;          // that the layers can use, at most problem.threads

  // Of one call, the way that is chosen, and as layers one after the other.
  double estimated_wavefront_seconds(int team) const;
  double estimated_layer_by_layer_seconds(int team) const;

  index_t block_elements() const { return gate_count * lanes; }  // of one row's pre-activations
  index_t row_elements() const { return blocks * block_elements(); }
  index_t chunk_rows() const { return chunk_steps * problem.batch; }  // at most
  index_t chunks() const { return (problem.seq_len + chunk_steps - 1) / chunk_steps; }
  Span chunk(index_t k) const { return {k * chunk_steps, k + 1 < chunks() ? (k + 1) * chunk_steps : problem.seq_len}; }
  LayerWork work(index_t layer) const;
  Split split(index_t layer, int team) const;
  // The k-th of `parts` ranges of batch rows with about the same number of steps to do.
  Span batch_rows(int parts, int k) const;
};

template <class Real>
const kernels::KernelsOf<Real>& kernels_of(const kernels::KernelTable& table) {
  if constexpr (dtype_of<Real> == Dtype::float32) {
    return table.float32;
  } else {
    return table.float64;
  }
}
template <class Real>
const kernels::KernelsOf<Real>& kernels_of(const Plan& plan) {
  return kernels_of<Real>(plan.kernels);
}

template <class Real>
const kernels::StepKernels<Real>& step_kernels_of(const Plan& plan) {
  const kernels::KernelsOf<Real>& kernels = kernels_of<Real>(plan);
  switch (plan.weight_dtype) {
    case WeightDtype::float16:
      return kernels.float16;
    case WeightDtype::bfloat16:
      return kernels.bfloat16;
    case WeightDtype::native:
      break;
  }
  return kernels.native;
}

}  // namespace lstm_native::plan
