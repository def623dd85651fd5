// plan: how the threads of a call share one layer.
//
// The rule: of all ways to split, the one with the least estimated time, of the fewest threads where equal. The
// estimate says what bounds a step: multiply-adds, reading the recurrent weights from the cache that one thread's share
// of them fits, the non-linearities, and a barrier per step where units are split. So few rows split units, many rows
// split rows (and never meet), and small layers run one direction per thread.
#pragma once

#include "common/types.hpp"

namespace lstm_native::plan {

// Thread groups, one inside the other: a direction is one group's, a range of batch rows within it one smaller group's,
// a range of unit blocks one thread's.
struct Split {
  int directions = 1;
  int rows = 1;
  int units = 1;
  int threads() const { return directions * rows * units; }
  int per_direction() const { return rows * units; }
};

// What the thread of a number below split.threads() computes: every split.directions-th direction from the first on, a
// group of rows, and a group of units of it.
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

// What there is to share, of one layer.
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
  index_t columns_at_once;  // as kernels::WeightFormat has them
  index_t input_terms;
  bool fused_input;           // W_ih is read in each step, as W_hh is
  index_t output_blocks = 0;  // of a projection's rows, 4 * lanes of them each; 0: there is none
  index_t step_columns() const { return fused_input ? hidden_size + input_size : hidden_size; }
};

inline constexpr double parallel_region_seconds = 1.2e-6;  // two cores of an AMD EPYC (Zen 3)

// Seconds, on a machine like those whose figures the estimate is made of.
double estimated_seconds(const LayerWork& work, const Split& split);

// Whether a step waits for weights rather than for multiply-adds.
bool bound_by_reading(const LayerWork& work, const Split& split);

Split choose_split(const LayerWork& work, int threads);

}  // namespace lstm_native::plan
