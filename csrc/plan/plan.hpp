// plan: all decisions about one call, taken before it runs: the kernels, the chunks of steps, how the threads share
// each layer.
//
// Decisions that can change a result's bits depend on the shape and on whether the weights are packed, never on the
// number of threads.
#pragma once

#include <string>
#include <vector>

#include "common/ceil_div.hpp"
#include "common/types.hpp"
#include "kernels/kernel_table.hpp"
#include "plan/active_rows.hpp"
#include "plan/problem.hpp"
#include "plan/split.hpp"
#include "plan/weight_path.hpp"

namespace lstm_native::plan {

// A half-open range.
struct Span {
  index_t begin;
  index_t end;
  index_t size() const { return end - begin; }
};

// The k-th of `parts` nearly equal parts of [0, total).
Span part_of(index_t total, int parts, int k);

// The place of a format in kernels::KernelsOf::formats; std::invalid_argument if no format has the name.
int format_named(const kernels::KernelTable& table, Dtype dtype, const std::string& name);

// How a call's arrays are stored.
struct Storage {
  Dtype dtype = Dtype::float32;
  int format = 0;  // of the weights, a place in kernels::KernelsOf::formats
  bool packed_weights = false;
  index_t input_time_stride = 0;  // of the caller's input, in elements
  index_t input_row_stride = 0;
};

// The decisions about one layer. All layers from the second on have the same plan.
struct LayerPlan {
  LayerWork work;
  WeightPath input_path;       // of W_ih
  WeightPath hidden_path;      // of W_hh
  WeightPath projection_path;  // of W_hr, if there is a projection
  bool fuses_input;            // the input projection is part of each step
  Split split;                 // of the plan's threads
};

struct Plan {
  // Throws as check() does. to_run: the plan is for running the call, not only for describing it. Its list of steps
  // then takes memory in proportion to their number.
  Plan(Problem unchecked_problem, const Storage& arrays, bool to_run = true);

  Problem problem;
  ActiveRows rows;
  const kernels::KernelTable& kernels;
  Storage storage;
  index_t lanes;          // units per block
  index_t blocks;         // of units, per direction
  index_t output_blocks;  // of 4 * lanes rows of W_hr, per direction; 0: there is no projection
  index_t chunk_steps;    // the steps whose input is projected at once
  bool wavefront;         // each layer has a thread, a chunk of steps behind the layer below
  int threads;            // at most problem.threads

  const LayerPlan& layer(index_t index) const { return layers_[index == 0 ? 0 : 1]; }
  index_t different_layers() const { return problem.num_layers == 1 ? 1 : 2; }
  // A layer's split for a team, which may be smaller than planned.
  Split split(index_t index, int team) const {
    return team == threads ? layer(index).split : chosen_split(layer(index).work, team);
  }
  bool calls_blas() const;

  index_t block_elements() const { return gate_count * lanes; }  // of one row's pre-activations
  index_t row_elements() const { return blocks * block_elements(); }
  index_t projected_elements() const { return output_blocks * block_elements(); }  // of one row's projection
  index_t chunk_rows() const { return chunk_steps * problem.batch; }               // at most
  index_t chunks() const { return ceil_div(problem.seq_len, chunk_steps); }
  Span chunk(index_t k) const { return {k * chunk_steps, k + 1 < chunks() ? (k + 1) * chunk_steps : problem.seq_len}; }
  // The k-th of `parts` ranges of batch rows. The ranges have about the same number of steps.
  Span batch_rows(int parts, int k) const;

 private:
  LayerWork work_of(index_t layer) const;
  Split chosen_split(const LayerWork& work, int team) const;
  // The time of one call as a wavefront, and of one whose layers run one after the other.
  double estimated_wavefront_seconds(int team) const;
  double estimated_layer_by_layer_seconds(int team) const;
  void choose_threads();
  void choose_paths(index_t index);

  LayerPlan layers_[2];
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

// The kernels for the format of the plan's weights.
template <class Real>
const kernels::StepKernels<Real>& step_kernels_of(const Plan& plan) {
  return kernels_of<Real>(plan).formats[plan.storage.format];
}
// Of W_ih and W_hh.
template <class Real>
const kernels::StepKernels<Real>& step_kernels_of(const Plan& plan, const LayerPlan& layer) {
  return layer.hidden_path == WeightPath::widened ? kernels_of<Real>(plan).formats[0] : step_kernels_of<Real>(plan);
}

inline const kernels::WeightFormat& format_of(const kernels::KernelTable& table, const Storage& storage) {
  return storage.dtype == Dtype::float32 ? table.float32.formats[storage.format].format
                                         : table.float64.formats[storage.format].format;
}
inline const kernels::WeightFormat& format_of(const Plan& plan) { return format_of(plan.kernels, plan.storage); }

}  // namespace lstm_native::plan
