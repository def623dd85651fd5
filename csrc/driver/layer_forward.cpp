#include "driver/layer_forward.hpp"

#include <algorithm>
#include <optional>

#include "driver/hidden_projection.hpp"
#include "driver/input_projection.hpp"
#include "driver/layer_share.hpp"
#include "driver/masks.hpp"
#include "plan/packed_layout.hpp"

namespace lstm_native::driver {
namespace {

using kernels::StepRow;
using plan::Plan;
using plan::Span;
using plan::WeightPath;

// Of the cell state.
template <class Real>
Span own_units(const Share<Real>& share) {
  return {share.blocks.begin * share.plan.lanes,
          std::min(share.blocks.end * share.plan.lanes, share.plan.problem.cell_size)};
}

// Of the hidden state.
template <class Real>
Span own_outputs(const Share<Real>& share) {
  if (!share.projects_hidden()) return own_units(share);
  return own_projected(share);
}

// Of the hidden state, whether it is computed or known.
template <class Real>
Span own_hidden(const Share<Real>& share) {
  return share.plan.problem.projects() ? own_projected(share) : own_units(share);
}

// Where a row's hidden state is before its first step.
template <class Real>
const Real* first_hidden(const DirectionForward<Real>& direction, index_t callers_row) {
  return direction.hidden_initial.data + callers_row * direction.hidden_initial.row_stride;
}

template <class Real>
const Real* first_cell(const DirectionForward<Real>& direction, index_t callers_row) {
  return direction.cell_initial.data + callers_row * direction.cell_initial.row_stride;
}

template <class Real>
Real* row_if_kept(const StoredRows<Real>& rows, index_t row) {
  return rows.data != nullptr ? rows.row(row) : nullptr;
}

// --- weights --------------------------------------------------------------------------------------------------------

// Packs the weights whose path says so. The threads take blocks in turn. One that stops must not go on to the next
// turns: the others count on, and would find it at work on theirs.
template <class Real>
void prepare_weights(const Plan& plan, const LayerForward<Real>& layer, const Team& team, CancellationPoll& poll) {
  index_t turn = 0;
  const auto mine = [&] { return turn++ % team.size == team.index; };
  const kernels::StepKernels<Real>& kernels = plan::step_kernels_of<Real>(plan);
  const auto pack = [&](const MatrixView<const Real>& matrix, plan::RowOrder order, Real* to) {
    for (index_t block = 0; block < plan::blocks_of(kernels.format, matrix.rows); ++block) {
      const index_t elements = matrix.columns * plan.block_elements();
      if (poll.cancelled(elements)) return false;
      if (mine()) plan::pack_block(kernels, matrix, order, block, to + block * elements);
    }
    return true;
  };
  for (index_t d = 0; d < plan.problem.num_directions; ++d) {
    const DirectionForward<Real>& direction = layer.directions[d];
    if (layer.plan->input_path == WeightPath::packed_per_call && !direction.input_block_by_block) {
      if (!pack(direction.weights.input, plan::RowOrder::gates, direction.packed_input)) return;
    }
    if (layer.plan->hidden_path == WeightPath::packed_per_call) {
      if (!pack(direction.weights.hidden, plan::RowOrder::gates, direction.packed_hidden)) return;
    }
    if (direction.cell_outputs.data != nullptr) {
      if (layer.plan->projection_path == WeightPath::packed_per_call) {
        if (!pack(direction.weights.projection, plan::RowOrder::consecutive, direction.packed_projection)) return;
      }
      if (d == 0 && mine()) std::fill_n(direction.projection_bias, plan.projected_elements(), Real{0});
    }
    if (mine()) {
      plan::pack_bias(direction.weights.input_bias, direction.weights.hidden_bias, plan.problem.cell_size, plan.lanes,
                      direction.bias_panel);
    }
  }
}

// The threads take blocks in turn.
template <class Real>
void widen_weights(const Plan& plan, const LayerForward<Real>& layer, const Team& team, CancellationPoll& poll) {
  const auto widen = [&](const void* panels, index_t columns, Real* to) {
    const auto* from = static_cast<const std::byte*>(panels);
    const index_t bytes = plan::block_bytes(plan::format_of(plan), columns);
    const index_t elements = columns * plan.block_elements();
    for (index_t block = team.index; block < plan.blocks; block += team.size) {
      if (poll.cancelled(elements)) return;
      plan::step_kernels_of<Real>(plan).widen(from + block * bytes, to + block * elements, columns);
    }
  };
  for (index_t d = 0; d < plan.problem.num_directions; ++d) {
    const DirectionForward<Real>& direction = layer.directions[d];
    widen(direction.weights.input_panels, layer.plan->work.input_size, direction.packed_input);
    widen(direction.weights.hidden_panels, plan.problem.output_size, direction.packed_hidden);
  }
}

// --- the steps ------------------------------------------------------------------------------------------------------

// The masks of the thread's rows; and before the steps, their initial hidden states with it.
template <class Real>
bool begin_masks(const Share<Real>& share, bool known) {
  const DirectionForward<Real>& direction = share.direction;
  const Span own = own_hidden(share);
  for (index_t r = share.rows.begin; r < share.rows.end; ++r) {
    if (share.poll.cancelled(own.size() * mask_work)) return false;
    const index_t callers_row = share.plan.rows.callers_row(r);
    direction.recurrent_mask.draw(callers_row, r, own);
    if (known || share.plan.rows.length(r) == 0) continue;
    Real* to = direction.masked_hidden[share.order().first(r) % 2].row(r);
    direction.recurrent_mask.apply(r, own, first_hidden(direction, callers_row), to);
  }
  return known || share.group_barrier->wait(share.group_threads, share.poll);
}

// The hidden states of a step, for the next one.
template <class Real>
void mask_hidden(const Share<Real>& share, index_t step, index_t row_count) {
  const DirectionForward<Real>& direction = share.direction;
  const Span own = own_hidden(share);
  for (index_t k = 0; k < row_count; ++k) {
    const index_t r = share.rows.begin + k;
    direction.recurrent_mask.apply(r, own, share.table[k].next_hidden, direction.masked_hidden[(step + 1) % 2].row(r));
  }
}

// Where each active row's operands of a step lie.
template <class Real>
index_t place_rows(const Share<Real>& share, Span chunk, index_t step) {
  const Plan& plan = share.plan;
  const DirectionForward<Real>& direction = share.direction;
  const Span active = share.active(step);
  const plan::TimeOrder order = share.order();
  StepRow<Real>* row = share.table;
  for (index_t r = active.begin; r < active.end; ++r, ++row) {
    const index_t state_row = plan.rows.callers_row(r);
    const index_t stored = plan.rows.stored(step, r);
    const bool first = step == order.first(r);
    row->input = share.layer.input.at(plan.rows, step, r);
    row->pre_activations = share.pre_activations(chunk, step, r);
    row->hidden = first ? first_hidden(direction, state_row) : direction.output.at(plan.rows, order.before(step), r);
    if (direction.recurrent_mask) row->hidden = direction.masked_hidden[step % 2].row(r);
    row->next_hidden =
        share.projects_hidden() ? direction.cell_outputs.row(r) : direction.output.at(plan.rows, step, r);
    row->cell = direction.cell_final.row(state_row);
    row->gates_tape = row_if_kept(direction.gates_tape, stored);
    row->cell_tape = row_if_kept(direction.cell_tape, stored);
  }
  return row - share.table;
}

// Beside the cell states, which the kernel writes.
template <class Real>
void keep_hidden(const Share<Real>& share, index_t step, index_t row_count) {
  if (share.direction.hidden_tape.data == nullptr) return;
  const Span own = own_outputs(share);
  for (index_t k = 0; k < row_count; ++k) {
    const index_t stored = share.plan.rows.stored(step, share.rows.begin + k);
    std::copy(share.table[k].next_hidden + own.begin, share.table[k].next_hidden + own.end,
              share.direction.hidden_tape.row(stored) + own.begin);
  }
}

// The arguments of the kernels that are the same in every step.
template <class Real>
struct StepArguments {
  kernels::StepForward<Real> step;
  kernels::ProductInPlace<Real> product;
  Parts parts;
};

template <class Real>
StepArguments<Real> step_arguments(const Share<Real>& share) {
  const Plan& plan = share.plan;
  const DirectionForward<Real>& direction = share.direction;
  const bool fused = direction.pre_activations == nullptr;
  auto step = step_of(share);
  step.cell = direction.cell;
  step.peepholes = direction.weights.peephole;
  step.input_weights = fused ? input_panels(share) : nullptr;
  step.hidden_weights = hidden_panels(share);
  step.bias = fused || share.projects_with_blas() ? bias_panel(direction) : nullptr;
  auto product = arguments_of<kernels::ProductInPlace<Real>>(share);
  product.of_hidden = true;
  product.weights = direction.weights.hidden.data;
  product.row_stride = direction.weights.hidden.row_stride;
  product.size = plan.problem.output_size;
  const index_t columns = step.hidden_size + (fused ? step.input_size : 0);
  return {step, product, Parts(row_work(share, columns))};
}

template <class Real>
void run_kernels(const Share<Real>& share, StepArguments<Real>& arguments, index_t row_count) {
  if (row_count == 0) return;
  arguments.step.row_count = row_count;
  if (share.decided().hidden_path == WeightPath::in_place) {
    arguments.product.row_count = row_count;
    plan::kernels_of<Real>(share.plan).product_in_place(arguments.product);
  }
  plan::step_kernels_of<Real>(share.plan, share.decided()).step(arguments.step);
}

// Computes the rows at the table's beginning. False: the call is cancelled.
template <class Real>
bool run_rows(const Share<Real>& share, StepArguments<Real>& arguments, index_t row_count) {
  if (row_count <= arguments.parts.most_rows) {
    run_kernels(share, arguments, row_count);
    return true;
  }
  const bool goes_on = run_in_parts(share, row_count, arguments.parts, [&](StepRow<Real>* rows, index_t count) {
    arguments.step.rows = arguments.product.rows = rows;
    run_kernels(share, arguments, count);
  });
  arguments.step.rows = arguments.product.rows = share.table;
  return goes_on;
}

template <class Real>
void run_steps(const Share<Real>& share, Span chunk, bool last_chunk) {
  StepArguments<Real> arguments = step_arguments(share);
  std::optional<HiddenProjection<Real>> projection;
  if (share.projects_hidden()) projection.emplace(share);
  index_t work = 0;  // since the last poll: tiny steps poll only once in some microseconds
  constexpr index_t work_between_questions = 100'000;
  for (index_t k = 0; k < chunk.size(); ++k) {
    const index_t at = share.order().nth(chunk.begin, chunk.end, k);
    const index_t row_count = place_rows(share, chunk, at);
    arguments.step.blocks_descending = arguments.product.blocks_descending =
        share.layer.blocks_descending != (at % 2 == 1);
    if (!run_rows(share, arguments, row_count)) return;
    if (projection.has_value() && !projection->run(at, row_count, arguments.step.blocks_descending)) return;
    keep_hidden(share, at, row_count);
    if (share.direction.recurrent_mask) mask_hidden(share, at, row_count);
    work += row_count * arguments.parts.work_per_row;
    if (work > work_between_questions) {
      if (share.poll.cancelled(work)) return;
      work = 0;
    }
    if (last_chunk && k + 1 == chunk.size()) return;
    if (!share.group_barrier->wait(share.group_threads, share.poll)) return;
  }
}

// Computes the gates of all steps of a chunk at once: the states before every step are known.
template <class Real>
void run_known_steps(const Share<Real>& share, Span chunk) {
  const Plan& plan = share.plan;
  const DirectionForward<Real>& direction = share.direction;
  const plan::TimeOrder order = share.order();
  StepRow<Real>* row = share.table;
  for (index_t step = chunk.begin; step < chunk.end; ++step) {
    const Span active = share.active(step);
    for (index_t r = active.begin; r < active.end; ++r, ++row) {
      row->input = share.layer.input.at(plan.rows, step, r);
      row->pre_activations = share.pre_activations(chunk, step, r);
      row->hidden = step == order.first(r) ? first_hidden(direction, plan.rows.callers_row(r))
                                           : direction.recorded_hidden.row(plan.rows.stored(order.before(step), r));
      row->next_hidden = nullptr;
      // The kernel only reads both.
      const Real* before = step == order.first(r) ? first_cell(direction, plan.rows.callers_row(r))
                                                  : direction.known_cells.row(plan.rows.stored(order.before(step), r));
      row->cell = const_cast<Real*>(before);
      row->cell_tape = const_cast<Real*>(direction.known_cells.row(plan.rows.stored(step, r)));
      row->gates_tape = direction.gates_tape.row(plan.rows.stored(step, r));
      if (!direction.recurrent_mask) continue;
      const index_t place = share.rows.begin * plan.chunk_steps + (row - share.table);
      Real* masked = direction.masked_hidden[chunk.begin / plan.chunk_steps % 2].row(place);
      direction.recurrent_mask.apply(r, own_hidden(share), row->hidden, masked);
      row->hidden = masked;
    }
  }
  if (direction.recurrent_mask && !share.group_barrier->wait(share.group_threads, share.poll)) return;
  StepArguments<Real> arguments = step_arguments(share);
  run_rows(share, arguments, row - share.table);
}

// --- states ---------------------------------------------------------------------------------------------------------

template <class Real>
void begin_cells(const Share<Real>& share) {
  const Span units = own_units(share);
  const StateView<const Real>& initial = share.direction.cell_initial;
  for (index_t r = share.rows.begin; r < share.rows.end; ++r) {
    if (share.poll.cancelled(units.size() * copy_work)) return;
    const index_t row = share.plan.rows.callers_row(r);
    const Real* from = initial.data + row * initial.row_stride;
    std::copy(from + units.begin, from + units.end, share.direction.cell_final.row(row) + units.begin);
    if (share.direction.initial_tape.data != nullptr) {
      std::copy(from + units.begin, from + units.end, share.direction.initial_tape.row(row) + units.begin);
    }
  }
}

template <class Real>
void finish_hidden(const Share<Real>& share) {
  const Span own = own_outputs(share);
  for (index_t r = share.rows.begin; r < share.rows.end; ++r) {
    if (share.poll.cancelled(own.size() * copy_work)) return;
    const index_t row = share.plan.rows.callers_row(r);
    const Real* from = share.plan.rows.length(r) == 0
                           ? first_hidden(share.direction, row)
                           : share.direction.output.at(share.plan.rows, share.order().last(r), r);
    std::copy(from + own.begin, from + own.end, share.direction.hidden_final.row(row) + own.begin);
  }
}

template <class Real>
void walk(const Share<Real>& share) {
  const bool known = share.direction.recorded_hidden.data != nullptr;
  if (!known) begin_cells(share);
  if (share.direction.recurrent_mask && !begin_masks(share, known)) return;
  const index_t chunks = share.plan.chunks();
  for (index_t k = 0; k < chunks; ++k) {
    const Span chunk = share.plan.chunk(share.order().nth(0, chunks, k));
    if (share.poll.cancelled(chunk.size() * share.rows.size() * row_work(share, 1))) return;
    if (share.below != nullptr && !share.below->wait_for(chunk.end, share.poll)) return;
    if (share.direction.pre_activations != nullptr) project_input(share, chunk);
    if (known) {
      run_known_steps(share, chunk);
      continue;
    }
    run_steps(share, chunk, k + 1 == chunks);
    if (share.poll.cancelled(0)) return;
    if (share.own != nullptr) share.own->report(chunk.end);
  }
  if (!known) finish_hidden(share);
}

}  // namespace

template <class Real>
void layer_forward(const Plan& plan, const LayerForward<Real>& layer, const Team& team, const Barriers& barriers,
                   CancellationPoll& poll, const plan::ThreadScratch<Real>& scratch) {
  const bool widens = layer.plan->hidden_path == WeightPath::widened;
  if (widens) widen_weights(plan, layer, team, poll);
  if (!plan.storage.packed_weights) prepare_weights(plan, layer, team, poll);
  if ((widens || !plan.storage.packed_weights) && !barriers.team->wait(team.size, poll)) return;
  const plan::Split split = plan.split(layer.layer, team.size);
  if (team.index >= split.threads()) return;
  const plan::SplitPlace place(split, team.index);
  for (index_t d = place.first_direction; d < plan.problem.num_directions; d += split.directions) {
    walk(Share<Real>{plan, layer, layer.directions[d], plan.batch_rows(split.rows, place.rows),
                     plan::part_of(plan.blocks, split.units, place.units),
                     plan::part_of(plan.output_blocks, split.units, place.units), &barriers.directions[d],
                     split.per_direction(), place.in_direction, &barriers.groups[place.group], split.units, poll,
                     scratch.table, scratch.vectors, scratch.vector_stride, nullptr, nullptr});
  }
}

template <class Real>
void layer_forward_in_wavefront(const Plan& plan, const LayerForward<Real>& layer, const Barriers& barriers,
                                CancellationPoll& poll, const plan::ThreadScratch<Real>& scratch) {
  const Progress* below = layer.layer > 0 ? &barriers.layers[layer.layer - 1] : nullptr;
  Barrier alone;
  walk(Share<Real>{plan, layer, layer.directions[0], Span{0, plan.problem.batch}, Span{0, plan.blocks},
                   Span{0, plan.output_blocks}, &alone, 1, 0, &alone, 1, poll, scratch.table, scratch.vectors,
                   scratch.vector_stride, below, &barriers.layers[layer.layer]});
}

template void layer_forward_in_wavefront<float>(const Plan&, const LayerForward<float>&, const Barriers&,
                                                CancellationPoll&, const plan::ThreadScratch<float>&);
template void layer_forward_in_wavefront<double>(const Plan&, const LayerForward<double>&, const Barriers&,
                                                 CancellationPoll&, const plan::ThreadScratch<double>&);
template void layer_forward<float>(const Plan&, const LayerForward<float>&, const Team&, const Barriers&,
                                   CancellationPoll&, const plan::ThreadScratch<float>&);
template void layer_forward<double>(const Plan&, const LayerForward<double>&, const Team&, const Barriers&,
                                    CancellationPoll&, const plan::ThreadScratch<double>&);

}  // namespace lstm_native::driver
