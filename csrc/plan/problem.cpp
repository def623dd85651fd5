#include "plan/problem.hpp"

#include <stdexcept>
#include <utility>

#include "common/checked_size.hpp"

namespace lstm_native::plan {
namespace {

constexpr index_t most_layers = 65536;  // the Python layer has the same limit

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

}  // namespace

Problem problem_of(const StackSizes& sizes, Extent extent, double dropout, int threads) {
  Problem problem;
  problem.seq_len = extent.seq_len;
  problem.batch = extent.batch;
  problem.input_size = sizes.input_size;
  problem.cell_size = sizes.cell_size;
  problem.output_size = sizes.output_size;
  problem.num_layers = sizes.num_layers;
  problem.num_directions = sizes.num_directions;
  problem.batch_sizes = std::move(extent.batch_sizes);
  problem.lengths = std::move(extent.lengths);
  problem.dropout = dropout;
  problem.threads = threads;
  return problem;
}

void check(const Problem& problem) {
  require(problem.seq_len >= 1, "seq_len must be at least 1");
  require(problem.batch >= 0, "batch must not be negative");
  require(problem.input_size >= 1, "input_size must be at least 1");
  require(problem.cell_size >= 1, "hidden_size must be at least 1");
  require(problem.output_size >= 1 && problem.output_size <= problem.cell_size,
          "the hidden state must have at least one unit, and no more than the cell state");
  require(problem.num_layers >= 1 && problem.num_layers <= most_layers, "num_layers must be from 1 to 65536");
  require(problem.num_directions == 1 || problem.num_directions == 2, "num_directions must be 1 or 2");
  // The bytes of one row of any array are countable, including what fills its last vector.
  constexpr index_t bytes_with_room_to_spare = 64;
  checked_product({gate_count, problem.num_directions, problem.cell_size, bytes_with_room_to_spare});
  checked_product({problem.input_size, bytes_with_room_to_spare});
  checked_product({problem.batch, bytes_with_room_to_spare});
  require(!problem.reverse || problem.num_directions == 1, "reverse is of one direction");
  require(problem.cells[0].peepholes == problem.cells[1].peepholes, "peepholes are in both directions, or in none");
  for (const double rate : {problem.dropout, problem.recurrent_dropout}) {
    require(rate >= 0.0 && rate <= 1.0, "dropout must be in [0, 1]");
  }
  require(problem.threads >= 1, "num_threads must be at least 1");
  const Split& split = problem.forced_split;
  require(split.threads() == 0 || (split.directions >= 1 && split.directions <= problem.num_directions &&
                                   split.rows >= 1 && split.units >= 1 && split.threads() <= problem.threads),
          "split must be positive and have no more groups than there are directions and threads");
  require(!problem.packed() || problem.lengths.empty(), "batch_sizes and lengths exclude each other");
  if (!problem.lengths.empty()) {
    require(static_cast<index_t>(problem.lengths.size()) == problem.batch, "lengths must have batch items");
    for (const index_t length : problem.lengths) {
      require(length >= 0 && length <= problem.seq_len, "lengths must be in [0, seq_len]");
    }
  }
  if (!problem.packed()) return;
  require(static_cast<index_t>(problem.batch_sizes.size()) == problem.seq_len, "batch_sizes must have seq_len items");
  index_t previous = problem.batch;
  require(problem.batch_sizes.front() == previous, "batch_sizes[0] must be the batch");
  for (const index_t size : problem.batch_sizes) {
    require(size >= 1 && size <= previous, "batch_sizes must be positive and must not increase");
    previous = size;
  }
}

}  // namespace lstm_native::plan
