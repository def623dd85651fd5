// driver: the dropout between layers, some rows at a time, so that each thread polls often.
#pragma once

#include <algorithm>

#include "common/interruption.hpp"
#include "common/team.hpp"
#include "plan/plan.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::driver {

// Masking an element takes as long as this many multiply-adds.
inline constexpr index_t mask_work = 50;

// Calls run(Span) for a thread's part of [0, total), a few hundred rows between two polls.
template <class Run>
void run_between_polls(index_t total, const Team& team, index_t work_per_row, CancellationPoll& poll, const Run& run) {
  constexpr index_t rows_per_look = 256;
  const plan::Span rows = plan::part_of(total, team.size, team.index);
  for (index_t begin = rows.begin; begin < rows.end; begin += rows_per_look) {
    if (poll.cancelled(rows_per_look * work_per_row)) return;
    run(plan::Span{begin, std::min(begin + rows_per_look, rows.end)});
  }
}

// Masks some rows of a layer's outputs (rows, layer_output_size), or of their gradients.
template <class Real>
void mask_rows(const plan::Plan& plan, const rng::DropoutStream& stream, index_t layer, plan::Span rows,
               Real* outputs) {
  const index_t width = plan.problem.layer_output_size();
  rng::apply_dropout(outputs + rows.begin * width, rows.size() * width,
                     static_cast<std::uint64_t>((layer * plan.rows.total() + rows.begin) * width), stream);
}

// Masks a thread's part of all rows.
template <class Real>
void mask_outputs(const plan::Plan& plan, const rng::DropoutStream& stream, index_t layer, Real* outputs,
                  const Team& team, CancellationPoll& poll) {
  run_between_polls(plan.rows.total(), team, plan.problem.layer_output_size() * mask_work, poll,
                    [&](plan::Span rows) { mask_rows(plan, stream, layer, rows, outputs); });
}

}  // namespace lstm_native::driver
