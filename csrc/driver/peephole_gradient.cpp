#include "driver/peephole_gradient.hpp"

#include <algorithm>

#include "plan/time_order.hpp"

namespace lstm_native::driver {
namespace {

using plan::Span;

// Sums of products of a gate's gradients with cell states, for some units.
template <class Real>
struct Sums {
  const plan::BackwardPlan& plan;
  const DirectionProducts<Real>& direction;
  Span units;

  index_t cell_size() const { return plan.problem().cell_size; }

  // Adds rows [row, row + count) of storage. states: those of the first row and on.
  void add(Gate gate, Peephole peephole, index_t row, index_t count, const StoredRows<const Real>& states) const {
    kernels::SumOfProducts<Real> sum;
    sum.rows = count;
    sum.columns = units.size();
    sum.left = direction.gate_gradients.row(row) + gate * cell_size() + units.begin;
    sum.left_stride = direction.gate_gradients.width;
    sum.right = states.data + units.begin;
    sum.right_stride = states.width;
    sum.to = direction.gradients.peephole.data + peephole * cell_size() + units.begin;
    plan::kernels_of<Real>(plan.forward).backward.sum_of_products(sum);
  }

  // Of the gates that see the state before the step.
  void add_before(index_t row, index_t count, const StoredRows<const Real>& states) const {
    add(input_gate, input_peephole, row, count, states);
    add(forget_gate, forget_peephole, row, count, states);
  }
};

template <class Real>
StoredRows<const Real> from_row(const StoredRows<const Real>& rows, index_t first) {
  return {rows.row(first), rows.width};
}

}  // namespace

template <class Real>
void peephole_gradient(const plan::BackwardPlan& plan, const DirectionProducts<Real>& direction, Span units,
                       bool accumulate, CancellationPoll& poll) {
  const index_t cell_size = plan.problem().cell_size;
  if (!accumulate) {
    for (index_t p = 0; p < peephole_count; ++p) {
      Real* to = direction.gradients.peephole.data + p * cell_size;
      std::fill(to + units.begin, to + units.end, Real{0});
    }
  }
  const Sums<Real> sums{plan, direction, units};
  const plan::ActiveRows& rows = plan.forward.rows;
  const plan::TimeOrder order{rows, direction.reverse};
  for (index_t step = 0; step < plan.problem().seq_len; ++step) {
    const index_t active = rows.count(step);
    const index_t first = rows.offset(step);
    if (poll.cancelled(peephole_count * active * units.size())) return;
    sums.add(output_gate, output_peephole, first, active, from_row(direction.cells, first));
    // Rows with an earlier step come first.
    index_t continuing = 0;
    while (continuing < active && step != order.first(continuing)) ++continuing;
    if (continuing > 0) {
      sums.add_before(first, continuing, from_row(direction.cells, rows.offset(order.before(step))));
    }
    for (index_t r = continuing; r < active; ++r) {
      sums.add_before(first + r, 1, from_row(direction.initial_cells, rows.callers_row(r)));
    }
  }
}

template void peephole_gradient<float>(const plan::BackwardPlan&, const DirectionProducts<float>&, Span, bool,
                                       CancellationPoll&);
template void peephole_gradient<double>(const plan::BackwardPlan&, const DirectionProducts<double>&, Span, bool,
                                        CancellationPoll&);

}  // namespace lstm_native::driver
