#include "driver/layer_backward.hpp"

#include <algorithm>

#include "driver/panels.hpp"
#include "plan/time_order.hpp"

namespace lstm_native::driver {
namespace {

using kernels::BackwardRow;
using plan::BackwardPlan;
using plan::Span;

// One thread's share of one direction.
template <class Real>
struct BackwardShare {
  const BackwardPlan& plan;
  const DirectionBackward<Real>& direction;
  Span rows;    // of the batch
  Span groups;  // of units
  Span output_groups;
  Barrier* barrier;
  int threads;  // that share the rows
  CancellationPoll& poll;
  BackwardRow<Real>* table;

  const plan::ActiveRows& active() const { return plan.forward.rows; }
  bool projects() const { return direction.projection_weights.data != nullptr; }
  Span own_units() const { return units_of(groups, plan.problem().cell_size); }
  Span own_outputs() const { return units_of(output_groups, plan.problem().output_size); }
  Span units_of(Span of_groups, index_t units) const {
    return {std::min(of_groups.begin * plan.group_units, units), std::min(of_groups.end * plan.group_units, units)};
  }
  index_t stored(index_t step, index_t row) const { return active().stored(step, row); }
  plan::TimeOrder order() const { return {active(), direction.reverse}; }
  const Real* state(const StateView<const Real>& states, index_t row) const {
    return states.data == nullptr ? nullptr : states.data + active().callers_row(row) * states.row_stride;
  }
};

// Some elements of a row; null: zeros.
template <class Real>
void copy_or_clear(const Real* from, Span elements, Real* to) {
  if (from == nullptr) {
    std::fill(to + elements.begin, to + elements.end, Real{0});
  } else {
    std::copy(from + elements.begin, from + elements.end, to + elements.begin);
  }
}

// Sets the state's gradients behind the last step, and the hidden states before the first.
template <class Real>
void begin(const BackwardShare<Real>& share) {
  const DirectionBackward<Real>& direction = share.direction;
  for (index_t r = share.rows.begin; r < share.rows.end; ++r) {
    const Span units = share.own_units();
    const Span outputs = share.own_outputs();
    if (share.poll.cancelled((units.size() + outputs.size()) * copy_work)) return;
    if (direction.recurrent_mask) direction.recurrent_mask.draw(share.active().callers_row(r), r, outputs);
    copy_or_clear(share.state(direction.cell_final_gradient, r), units,
                  direction.cell_gradient.row(share.active().callers_row(r)));
    if (direction.previous_hidden.data == nullptr || share.active().length(r) == 0) continue;
    copy_or_clear(share.state(direction.hidden_initial, r), outputs,
                  direction.previous_hidden.row(share.stored(share.order().first(r), r)));
  }
}

// packed: null if the weights are read where they are.
template <class Real>
kernels::StepBackward<Real> step_with(const BackwardShare<Real>& share, const MatrixView<const Real>& weights,
                                      const Real* packed, Span groups) {
  kernels::StepBackward<Real> step;
  step.units = weights.columns;
  step.size = weights.rows;
  step.cell = share.direction.cell;
  step.peepholes = share.direction.peephole;
  step.first_group = groups.begin;
  step.end_group = groups.end;
  step.weights = packed != nullptr ? packed : weights.data;
  step.weight_stride = packed != nullptr ? share.plan.group_units : weights.row_stride;
  step.group_stride = share.plan.group_units * (packed != nullptr ? weights.rows : 1);
  return step;
}

// The arguments for the gradients of hidden states, from those of pre-activations.
template <class Real>
kernels::StepBackward<Real> hidden_step(const BackwardShare<Real>& share) {
  return step_with(share, share.direction.hidden_weights, share.direction.packed_hidden, share.output_groups);
}

// The hidden state's gradient that a step hands on to the one before, of the rows that have it, with the mask.
template <class Real>
bool hand_on_masked(const BackwardShare<Real>& share, index_t step, Span continuing) {
  const DirectionBackward<Real>& direction = share.direction;
  BackwardRow<Real>* row = share.table;
  for (index_t r = continuing.begin; r < continuing.end; ++r, ++row) {
    *row = {};
    row->next_gate_gradients = direction.gate_gradients.row(share.stored(share.order().after(step), r));
    row->hidden = direction.recurrent_gradients.row(r);
    row->sums = direction.sums.row(r);
  }
  auto arguments = hidden_step(share);
  const auto kernel = plan::kernels_of<Real>(share.plan.forward).backward.state;
  if (!run_rows(share, kernel, arguments, {0, continuing.size()})) return false;
  for (index_t r = continuing.begin; r < continuing.end; ++r) {
    Real* gradient = direction.recurrent_gradients.row(r);
    direction.recurrent_mask.apply(r, share.own_outputs(), gradient, gradient);
  }
  return true;
}

// Where the operands of rows [begin, end) of a step lie.
template <class Real>
void place_rows(const BackwardShare<Real>& share, index_t step, Span rows) {
  const DirectionBackward<Real>& direction = share.direction;
  const plan::TimeOrder order = share.order();
  BackwardRow<Real>* row = share.table;
  for (index_t r = rows.begin; r < rows.end; ++r, ++row) {
    const index_t at = share.stored(step, r);
    const bool last = step == order.last(r);
    row->next_gate_gradients = last ? nullptr : direction.gate_gradients.row(share.stored(order.after(step), r));
    row->output_gradient =
        direction.has_output_gradient ? direction.output_gradient.at(share.active(), step, r) : nullptr;
    row->final_gradient = last ? share.state(direction.hidden_final_gradient, r) : nullptr;
    row->gates = direction.gates.row(at);
    row->cell = direction.cells.row(at);
    row->previous_cell = step == order.first(r) ? share.state(direction.cell_initial, r)
                                                : direction.cells.row(share.stored(order.before(step), r));
    row->cell_gradient = direction.cell_gradient.row(share.active().callers_row(r));
    row->gate_gradients = direction.gate_gradients.row(at);
    row->hidden = last || direction.previous_hidden.data == nullptr
                      ? nullptr
                      : direction.previous_hidden.row(share.stored(order.after(step), r));
    row->sums = direction.sums.row(r);
  }
}

// The rows that have a later step, in the order of the direction. They come first.
template <class Real>
Span with_next_step(const BackwardShare<Real>& share, index_t step, Span rows) {
  const index_t end_of_time = share.order().nth(0, share.plan.problem().seq_len, share.plan.problem().seq_len - 1);
  if (step == end_of_time) return {rows.begin, rows.begin};
  if (share.direction.reverse) return rows;
  return {rows.begin, std::clamp(share.active().count(step + 1), rows.begin, rows.end)};
}

// Runs a kernel on rows [begin, end) of the table, polling between parts. False: the call is
// cancelled.
template <class Real>
bool run_rows(const BackwardShare<Real>& share, void (*kernel)(const kernels::StepBackward<Real>&),
              kernels::StepBackward<Real>& arguments, Span rows) {
  const index_t groups = arguments.end_group - arguments.first_group;
  const index_t work_per_row = groups * share.plan.group_units * arguments.size;
  const index_t most = rows_at_once(work_per_row);
  for (index_t first = rows.begin; first < rows.end; first += most) {
    arguments.rows = share.table + first;
    arguments.row_count = std::min(most, rows.end - first);
    if (share.poll.cancelled(arguments.row_count * work_per_row)) return false;
    kernel(arguments);
  }
  return true;
}

// Runs it on the rows of the table that have a later step, then on the others.
template <class Real>
bool run_all_rows(const BackwardShare<Real>& share, void (*kernel)(const kernels::StepBackward<Real>&),
                  kernels::StepBackward<Real> arguments, Span continuing, Span active) {
  if (!run_rows(share, kernel, arguments, {0, continuing.size()})) return false;
  arguments.weights = nullptr;
  return run_rows(share, kernel, arguments, {continuing.size(), active.size()});
}

// One step with a projection: computes the gradients of h_t, which the table's rows then read.
template <class Real>
bool run_hidden_gradients(const BackwardShare<Real>& share, index_t step, Span continuing, Span active) {
  const DirectionBackward<Real>& direction = share.direction;
  const auto kernel = plan::kernels_of<Real>(share.plan.forward).backward.state;
  const Span own = share.own_outputs();
  for (index_t k = 0; k < active.size(); ++k) {
    share.table[k].hidden = direction.hidden_gradients.row(share.stored(step, active.begin + k));
  }
  if (!run_all_rows(share, kernel, hidden_step(share), continuing, active)) return false;
  for (index_t k = 0; k < active.size(); ++k) {
    BackwardRow<Real>& row = share.table[k];
    const index_t r = active.begin + k;
    const index_t at = share.stored(step, r);
    row.next_gate_gradients = row.hidden;
    row.output_gradient = row.final_gradient = nullptr;
    row.hidden = direction.cell_outputs.data != nullptr ? direction.cell_outputs.row(at) : nullptr;
    if (direction.previous_hidden.data == nullptr || step == share.order().first(r)) continue;
    copy_or_clear(direction.hidden.row(share.stored(share.order().before(step), r)), own,
                  direction.previous_hidden.row(at));
  }
  return share.barrier->wait(share.threads, share.poll);
}

template <class Real>
void run_steps(const BackwardShare<Real>& share) {
  const index_t steps = share.plan.problem().seq_len;
  const auto kernel = plan::kernels_of<Real>(share.plan.forward).backward.step;
  for (index_t k = 0; k < steps; ++k) {
    const index_t step = share.order().nth(0, steps, steps - 1 - k);
    const Span active{share.rows.begin, std::clamp(share.active().count(step), share.rows.begin, share.rows.end)};
    Span continuing = with_next_step(share, step, active);
    if (share.direction.recurrent_mask && !hand_on_masked(share, step, continuing)) return;
    place_rows(share, step, active);
    if (share.direction.recurrent_mask) {
      for (index_t r = continuing.begin; r < continuing.end; ++r) {
        share.table[r - active.begin].final_gradient = share.direction.recurrent_gradients.row(r);
      }
      continuing.end = continuing.begin;
    }
    if (share.projects()) {
      if (!run_hidden_gradients(share, step, continuing, active)) return;
      auto arguments =
          step_with(share, share.direction.projection_weights, share.direction.packed_projection, share.groups);
      if (!run_rows(share, kernel, arguments, {0, active.size()})) return;
    } else if (!run_all_rows(share, kernel, hidden_step(share), continuing, active)) {
      return;
    }
    if (!share.barrier->wait(share.threads, share.poll)) return;
  }
}

// The gradient of the initial hidden state, which the first step's gradients give.
template <class Real>
void finish_hidden(const BackwardShare<Real>& share) {
  const DirectionBackward<Real>& direction = share.direction;
  if (direction.hidden_gradient.data == nullptr) return;
  const Span own = share.own_outputs();
  index_t count = 0;
  for (index_t r = share.rows.begin; r < share.rows.end; ++r) {
    if (share.poll.cancelled(own.size() * copy_work)) return;
    Real* to = direction.hidden_gradient.row(share.active().callers_row(r));
    if (share.active().length(r) > 0) {
      BackwardRow<Real> row;
      row.next_gate_gradients = direction.gate_gradients.row(share.stored(share.order().first(r), r));
      row.hidden = to;
      row.sums = direction.sums.row(r);
      share.table[count++] = row;
      continue;
    }
    copy_or_clear(share.state(direction.hidden_final_gradient, r), own, to);
  }
  kernels::StepBackward<Real> arguments = hidden_step(share);
  run_rows(share, plan::kernels_of<Real>(share.plan.forward).backward.state, arguments, {0, count});
  if (!direction.recurrent_mask) return;
  for (index_t r = share.rows.begin; r < share.rows.end; ++r) {
    if (share.active().length(r) == 0) continue;
    Real* gradient = direction.hidden_gradient.row(share.active().callers_row(r));
    direction.recurrent_mask.apply(r, own, gradient, gradient);
  }
}

// The hidden states before each step, as the products read them.
template <class Real>
void mask_previous_hidden(const BackwardShare<Real>& share) {
  const DirectionBackward<Real>& direction = share.direction;
  if (direction.previous_hidden.data == nullptr) return;
  const Span own = share.own_outputs();
  for (index_t r = share.rows.begin; r < share.rows.end; ++r) {
    for (index_t step = 0; step < share.active().length(r); ++step) {
      if (share.poll.cancelled(own.size() * copy_work)) return;
      Real* hidden = direction.previous_hidden.row(share.stored(step, r));
      direction.recurrent_mask.apply(r, own, hidden, hidden);
    }
  }
}

}  // namespace

template <class Real>
void pack_for_backward(const BackwardPlan& plan, const LayerBackward<Real>& layer, const Team& team,
                       CancellationPoll& poll) {
  for (index_t d = 0; d < plan.problem().num_directions; ++d) {
    const DirectionBackward<Real>& direction = layer.directions[d];
    const auto pack = [&](const MatrixView<const Real>& weights, Real* to) {
      if (to == nullptr) return;
      pack_panels(weights, plan::part_of(weights.rows, team.size, team.index), plan.group_units, to, poll);
    };
    pack(direction.hidden_weights, direction.packed_hidden);
    pack(direction.projection_weights, direction.packed_projection);
  }
}

template <class Real>
void layer_backward(const BackwardPlan& plan, const LayerBackward<Real>& layer, const Team& team,
                    const Barriers& barriers, CancellationPoll& poll, BackwardRow<Real>* table) {
  const plan::Split split = plan.split(team.size);
  if (team.index >= split.threads()) return;
  const plan::SplitPlace place(split, team.index);
  for (index_t d = place.first_direction; d < plan.problem().num_directions; d += split.directions) {
    const BackwardShare<Real> share{plan,
                                    layer.directions[d],
                                    plan.forward.batch_rows(split.rows, place.rows),
                                    plan::part_of(plan.groups, split.units, place.units),
                                    plan::part_of(plan.output_groups, split.units, place.units),
                                    &barriers.groups[place.group],
                                    split.units,
                                    poll,
                                    table};
    begin(share);
    run_steps(share);
    if (poll.cancelled(0)) return;
    if (share.direction.recurrent_mask) mask_previous_hidden(share);
    finish_hidden(share);
  }
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                               \
  template void pack_for_backward<Real>(const BackwardPlan&, const LayerBackward<Real>&, const Team&,               \
                                        CancellationPoll&);                                                         \
  template void layer_backward<Real>(const BackwardPlan&, const LayerBackward<Real>&, const Team&, const Barriers&, \
                                     CancellationPoll&, BackwardRow<Real>*);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::driver
