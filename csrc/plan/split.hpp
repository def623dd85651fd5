// plan: how the threads of a call share one layer.
//
// The rule takes the split with the least estimated time; of equal ones, the split with the fewest threads. The
// estimate counts what bounds a step: multiply-adds, reading the recurrent weights from the cache that holds one
// thread's share of them, the activations, and a barrier per step if units are split. So a call with few rows splits
// units; a call with many rows splits rows, and its threads never wait for each other; small layers run one direction
// per thread.
#pragma once

#include "common/types.hpp"

namespace lstm_native::plan {

// Nested groups of threads. A group computes a direction; in it, a smaller group computes a range of batch rows; in
// that, a thread computes a range of unit blocks.
struct Split {
  int directions = 1;
  int rows = 1;
  int units = 1;
  int threads() const { return directions * rows * units; }
  int per_direction() const { return rows * units; }
};

// What a thread with a number below split.threads() computes: every split.directions-th direction from first_direction
// on, and of these a group of rows and a group of units.
struct SplitPlace {
  SplitPlace(const Split& split, int thread)
      : first_direction(thread / split.per_direction()),
        in_direction(thread % split.per_direction()),
        rows(in_direction / split.units),
        units(in_direction % split.units),
        group(thread / split.units) {}
  int first_direction;
  int in_direction;  // its number among the threads of a direction
  int rows, units;
  int group;  // of threads that share batch rows
};

// The work of one layer, which the threads share.
struct LayerWork {
  index_t steps;
  double active_rows;  // per step, on average
  index_t input_size;
  index_t hidden_size;
  index_t blocks;  // of units
  index_t lanes;   // units per block
  index_t directions;
  index_t weight_bytes;  // of one recurrent weight
  index_t element_bytes;
  index_t columns_at_once;  // see kernels::WeightFormat
  index_t input_terms;
  bool fused_input;           // each step reads W_ih, as it reads W_hh
  index_t output_blocks = 0;  // of 4 * lanes rows of W_hr; 0: there is no projection
  index_t step_columns() const { return fused_input ? hidden_size + input_size : hidden_size; }
};

inline constexpr double parallel_region_seconds = 1.2e-6;  // two cores of an AMD EPYC (Zen 3)

// The estimate in seconds, for machines like the two that its constants come from.
double estimated_seconds(const LayerWork& work, const Split& split);

// Whether reading weights, not multiply-adds, bounds a step.
bool bound_by_reading(const LayerWork& work, const Split& split);

Split choose_split(const LayerWork& work, int threads);

}  // namespace lstm_native::plan
