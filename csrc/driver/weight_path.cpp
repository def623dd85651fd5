#include "driver/weight_path.hpp"

#include <climits>

#include "blas/blas.hpp"

namespace lstm_native::driver {
namespace {

// Packing reads and writes each weight once, out of order, and products with packed weights gain some 20 %. `python -m
// bench` times plain weights beside packed ones; a call with fewer uses of each weight than this is over before packing
// has paid for itself.
constexpr index_t uses_worth_packing = 24;

// BLAS packs for itself, and needs as many rows as make that worthwhile.
constexpr index_t rows_worth_blas = 24;
// A smaller matrix is packed, and multiplied by our kernels, in less time than BLAS takes (`python -m bench`, plain
// weights: 1.1 against 1.5 times the time of packed ones at 64 rows of 1024 units, two cores of an AMD EPYC Zen 5). The
// copy of a larger one costs more than it gains.
constexpr index_t weights_worth_blas = index_t{1} << 23;

bool is_for_blas(index_t units, index_t columns) {
  if (units > INT_MAX / gate_count || columns > INT_MAX) return false;
  return columns >= weights_worth_blas / (gate_count * units);
}

}  // namespace

WeightPath input_path(const plan::Plan& plan, index_t layer, bool even_rows) {
  const index_t uses = plan.rows.total();
  // The rows of one chunk are projected at once. They are too few to pay for a copy that BLAS makes, and need none that
  // leaves the L2 cache, see packs_input_block_by_block() (`python -m bench`, plain weights, 50 steps of one row of
  // 1536 units, one core of an AMD EPYC Zen 5: 1.20 instead of 1.29 times the time of packed ones).
  const bool in_one_chunk = plan.chunks() == 1 && !plan.fused_input;
  const bool large = is_for_blas(plan.problem.cell_size, plan.problem.layer_input_size(layer));
  if (even_rows && large && !in_one_chunk && uses >= rows_worth_blas) return WeightPath::blas;
  return uses < uses_worth_packing ? WeightPath::in_place : WeightPath::packed_per_call;
}

WeightPath hidden_path(const plan::Plan& plan) {
  return plan.rows.total() < uses_worth_packing ? WeightPath::in_place : WeightPath::packed_per_call;
}

template <class Real>
bool reads_in_place(WeightPath path, const MatrixView<const Real>& matrix) {
  if (path == WeightPath::in_place) return matrix.column_stride == 1;
  return path != WeightPath::blas || blas::readable(matrix);
}

template bool reads_in_place<float>(WeightPath, const MatrixView<const float>&);
template bool reads_in_place<double>(WeightPath, const MatrixView<const double>&);

}  // namespace lstm_native::driver
