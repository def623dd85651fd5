// plan: what is decided about a backward call before it runs: how the threads share the steps, and how the large
// products over all steps are cut into tasks.
//
// Tasks depend on the shape alone, since BLAS may round a row differently in a product of another size.
#pragma once

#include "common/aligned_buffer.hpp"
#include "common/types.hpp"
#include "plan/plan.hpp"

namespace lstm_native::plan {

// Which gradients a call computes. Those of the pre-activations are always there: computed, or given.
struct BackwardWants {
  bool input = true;    // of the first layer's input
  bool states = true;   // of the initial states
  bool weights = true;  // of weights and biases
};

struct BackwardPlan {
  BackwardPlan(const Plan& forward_plan, const BackwardWants& backward_wants);

  const Plan& forward;
  BackwardWants wants;
  index_t group_units;       // units of a group, as kernels/backward_arguments.hpp says
  index_t groups;            // of units of the cell state, per direction
  index_t output_groups;     // of the hidden state
  bool hidden_in_place;      // W_hh is read as it is, where its rows are contiguous
  bool projection_in_place;  // W_hr, too
  int threads;               // at most problem.threads

  // The products over all steps take so many rows at a time, and as many blocks of them as it needs.
  index_t product_rows() const;
  index_t product_blocks() const;
  // Whether the product with a layer's W_ih, which has so many columns, packs it; and whether a sum over rows of
  // products with vectors of so many columns packs both.
  bool packs_input_weights() const;
  bool packs_rows(index_t columns) const;
  // From one transposed column of a block of rows to the next.
  template <class Real>
  index_t transposed_stride() const {
    constexpr auto line = static_cast<index_t>(cache_line_bytes / sizeof(Real));
    // An odd number of cache lines: an even one would bring many columns' rows into few sets of a cache.
    return ((product_rows() + line - 1) / line | 1) * line;
  }

  const Problem& problem() const { return forward.problem; }
  index_t gate_columns() const { return gate_count * problem().cell_size; }
  bool wants_input_of(index_t layer) const { return layer > 0 || wants.input; }
  // Of the recurrent steps, which are the same work in every layer. The team may be smaller than planned.
  Split split(int team) const { return team == threads ? split_ : chosen_split(team); }

 private:
  Split chosen_split(int team) const;

  Split split_;
};

// [0, total) in so many nearly equal parts that each has at least `least`, and at most `most_slices` of them: a power
// of two, since most machines' numbers of threads are.
int slices_of(index_t total, index_t least);

}  // namespace lstm_native::plan
