#include "plan/weight_path.hpp"

#include <climits>

namespace lstm_native::plan {
namespace {

// Packing reads and writes each weight once, out of order. Products with packed weights are some 20 % faster. `python
// -m bench` times plain weights beside packed ones: with fewer uses of each weight than this, packing costs more than
// it gains.
constexpr index_t uses_worth_packing = 24;

// BLAS packs the weights itself, which pays off from this many rows on.
constexpr index_t rows_worth_blas = 24;
// Our kernels pack and multiply a smaller matrix in less time than BLAS takes (`python -m bench`, plain weights: 1.1
// against 1.5 times the time of packed ones at 64 rows of 1024 units, two cores of an AMD EPYC Zen 5). Copying a larger
// matrix costs more than it gains.
constexpr index_t weights_worth_blas = index_t{1} << 23;

bool is_for_blas(index_t units, index_t columns) {
  if (units > INT_MAX / gate_count || columns > INT_MAX) return false;
  return columns >= weights_worth_blas / (gate_count * units);
}

// Widening weights where they are multiplied costs up to 13 % of the time where several rows share them (100,8,512; one
// core of an AMD EPYC Zen 4). A copy costs as much as some hundred uses of each weight.
constexpr index_t rows_worth_widening = 8;  // of a step
constexpr index_t uses_worth_widening = 256;

}  // namespace

WeightPath path_of_halves(index_t rows, index_t steps) {
  const bool worth_it = rows >= uses_worth_widening && rows >= rows_worth_widening * steps;
  return worth_it ? WeightPath::widened : WeightPath::packed;
}

WeightPath plain_input_path(const WeightUses& uses, index_t units, index_t columns) {
  // The rows of a single chunk are projected at once. They are too few for BLAS's own copy of the weights to pay off.
  // Our copy stays in the L2 cache, see packs_input_block_by_block() (`python -m bench`, plain weights, 50 steps of one
  // row of 1536 units, one core of an AMD EPYC Zen 5: 1.20 instead of 1.29 times the time of packed ones).
  if (uses.even_rows && !uses.in_one_chunk && uses.rows >= rows_worth_blas && is_for_blas(units, columns)) {
    return WeightPath::blas;
  }
  return plain_hidden_path(uses);
}

WeightPath plain_hidden_path(const WeightUses& uses) {
  return uses.rows < uses_worth_packing ? WeightPath::in_place : WeightPath::packed_per_call;
}

WeightPath plain_projection_path(const WeightUses& uses, index_t outputs) {
  // The kernel for weights in place takes four rows of the matrix at a time.
  return outputs % gate_count == 0 ? plain_hidden_path(uses) : WeightPath::packed_per_call;
}

bool blas_steps_over(index_t stride, index_t columns) { return stride >= columns && stride <= INT_MAX; }

}  // namespace lstm_native::plan
