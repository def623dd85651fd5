// plan: what is decided about a backward call before it runs: how the threads share the steps, and how the large
// products over all steps are cut into tasks.
//
// Only the shape decides the tasks: BLAS may round a row differently in a product of another size.
#pragma once

#include "common/aligned_buffer.hpp"
#include "common/ceil_div.hpp"
#include "common/types.hpp"
#include "plan/plan.hpp"

namespace lstm_native::plan {

// Which gradients a call computes. The gradients of the pre-activations are always computed or given.
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
  bool hidden_in_place;      // the steps read an unpacked W_hh, if its rows are contiguous
  bool projection_in_place;  // the same of W_hr
  int threads;               // at most problem.threads

  // The products over all steps take product_rows() rows at a time, in product_blocks() blocks.
  index_t product_rows() const;
  index_t product_blocks() const;
  // Whether the product with a layer's W_ih packs W_ih. packs_rows: whether a sum of products over rows packs its two
  // factors, if one of them has `columns` columns.
  bool packs_input_weights() const;
  bool packs_rows(index_t columns) const;
  // The distance between two columns of a block of rows that is stored transposed.
  template <class Real>
  index_t transposed_stride() const {
    constexpr auto line = static_cast<index_t>(cache_line_bytes / sizeof(Real));
    // An odd number of cache lines: with an even number, many columns would share few sets of the cache.
    return (ceil_div(product_rows(), line) | 1) * line;
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

// The number of nearly equal slices of [0, total): at most most_slices, each with at least `least` elements, and a
// power of two, as the number of threads is on most machines.
int slices_of(index_t total, index_t least);

}  // namespace lstm_native::plan
