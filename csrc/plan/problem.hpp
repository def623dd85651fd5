// plan: one call's sizes and options, validated, as plain data.
#pragma once

#include <array>
#include <vector>

#include "common/cell_spec.hpp"
#include "common/types.hpp"
#include "plan/split.hpp"

namespace lstm_native::plan {

// The sizes that determine the shapes of the weights.
struct StackSizes {
  index_t input_size = 0;
  index_t cell_size = 0;    // units of the cell state
  index_t output_size = 0;  // units of the hidden state; smaller than cell_size with a projection
  index_t num_layers = 0;
  index_t num_directions = 0;

  bool projects() const { return output_size != cell_size; }  // h_t = W_hr times the cell's output
};

// The steps of a call, and the rows that take part in each. At most one of the two lists has elements. Without a list
// every row takes part in every step.
struct Extent {
  index_t seq_len = 0;
  index_t batch = 0;
  std::vector<index_t> batch_sizes{};  // active rows per step of a packed sequence
  std::vector<index_t> lengths{};      // steps per row of a padded sequence, in any order, 0 allowed
};

struct Problem {
  index_t seq_len = 0;
  index_t batch = 0;
  index_t input_size = 0;
  index_t cell_size = 0;
  index_t output_size = 0;
  index_t num_layers = 0;
  index_t num_directions = 0;
  bool reverse = false;  // the only direction runs from the end of a sequence to its beginning
  std::vector<index_t> batch_sizes;
  std::vector<index_t> lengths;
  std::array<CellSpec, 2> cells{};  // of each direction
  double dropout = 0.0;             // between layers
  double recurrent_dropout = 0.0;   // of h_(t-1), by one mask for all steps and gates
  int threads = 1;
  Split forced_split{0, 0, 0};  // replaces the split that plan/split.hpp chooses, for benchmarks; zeros: none

  bool projects() const { return output_size != cell_size; }
  bool packed() const { return !batch_sizes.empty(); }
  bool ragged() const { return packed() || !lengths.empty(); }
  index_t states() const { return num_layers * num_directions; }
  index_t layer_output_size() const { return num_directions * output_size; }
  index_t layer_input_size(index_t layer) const { return layer == 0 ? input_size : layer_output_size(); }
  bool reversed(index_t direction) const { return reverse || direction == 1; }
  bool has_peepholes() const { return cells[0].peepholes; }  // in both directions, or in none
};

// The only function that makes problems. It does not check them.
Problem problem_of(const StackSizes& sizes, Extent extent, double dropout, int threads);

// Throws std::invalid_argument for numbers that a driver can't trust, and Uncountable for numbers that are too large.
void check(const Problem& problem);

}  // namespace lstm_native::plan
