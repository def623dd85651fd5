#include "driver/stack_forward.hpp"

#include <algorithm>

#include "common/parallel.hpp"
#include "plan/scratch.hpp"
#include "plan/tape.hpp"

namespace lstm_native::driver {
namespace {

using plan::Plan;

template <class Real>
void copy_states(const StateView<const Real>& from, index_t states, index_t rows, index_t units, Real* to) {
  for (index_t state = 0; state < states; ++state) {
    for (index_t row = 0; row < rows; ++row) {
      const Real* source = from.data + state * from.layer_stride + row * from.row_stride;
      for (index_t unit = 0; unit < units; ++unit) *to++ = source[unit * from.unit_stride];
    }
  }
}

// Time-major storage, contiguous, seen as a sequence.
template <class Real>
SequenceView<Real> contiguous_sequence(const Plan& plan, Real* data, index_t width) {
  return {data, plan.problem.batch * width, width, 1};
}

template <class Real>
void drop_between_layers(const Plan& plan, const StackForward<Real>& stack, index_t layer, Real* outputs) {
  const index_t elements = plan.rows.total() * plan.problem.layer_output_size();
  constexpr index_t block = 4096;  // small enough to share out, large enough to forget the region's cost
  const plan::Blocks blocks{elements, block};
  const index_t first = layer * elements;
  parallel_for(blocks.count(), plan.recurrence_threads(), [&](index_t item, int) noexcept {
    const plan::Span span = blocks[item];
    rng::apply_dropout(outputs + span.begin, span.size(), static_cast<std::uint64_t>(first + span.begin),
                       stack.dropout);
  });
}

}  // namespace

template <class Real>
void stack_forward(const Plan& plan, const StackForward<Real>& stack) {
  const plan::Problem& problem = plan.problem;
  const bool scattered = !projects_in_place(plan, stack.input);
  const bool keeps_tape = stack.tape != nullptr;
  const plan::TapeLayout tape(problem, plan.rows.total());
  const plan::Scratch<Real> scratch(plan, scattered, keeps_tape);
  const plan::ScratchLayout<Real>& at = scratch.layout();
  const index_t states = problem.num_layers * problem.num_directions;
  const index_t gates_width = gate_count * problem.cell_size;

  copy_states(stack.hidden_initial, states, problem.batch, problem.output_size, stack.hidden_final);
  copy_states(stack.cell_initial, states, problem.batch, problem.cell_size, stack.cell_final);
  if (keeps_tape) {
    plan::write_header(stack.tape, problem, plan.rows.total(), stack.dropout.key, stack.dropout.counter);
  }

  LayerForward<Real> layer{};
  layer.input = stack.input;
  layer.gathered_input = scattered ? scratch.at(at.gathered_input) : nullptr;
  layer.gathered_input_stride = at.gathered_input_stride;
  layer.keep_gates = keeps_tape;
  for (layer.layer = 0; layer.layer < problem.num_layers; ++layer.layer) {
    const bool last = layer.layer + 1 == problem.num_layers;
    Real* between = last ? nullptr : scratch.at(at.layer_outputs[layer.layer % 2]);
    const SequenceView<Real> output =
        last ? stack.output : contiguous_sequence(plan, between, problem.layer_output_size());
    for (index_t d = 0; d < problem.num_directions; ++d) {
      const index_t state = layer.layer * problem.num_directions + d;
      DirectionForward<Real>& direction = layer.directions[d];
      direction.weights = &stack.weights[state];
      direction.reverse = d == 1;
      direction.bias = scratch.at(at.bias + d * gates_width);
      direction.gates = keeps_tape ? stack.tape + tape.gates(layer.layer, d)
                                   : scratch.at(at.gates + d * plan.rows.total() * gates_width);
      direction.cell_tape = keeps_tape ? stack.tape + tape.cells(layer.layer, d) : nullptr;
      direction.hidden = stack.hidden_final + state * problem.batch * problem.output_size;
      direction.cell = stack.cell_final + state * problem.batch * problem.cell_size;
      direction.output = output;
      direction.output.data += d * problem.output_size;
    }
    layer_forward(plan, layer);
    if (last) break;
    if (stack.dropout.probability > 0.0) drop_between_layers(plan, stack, layer.layer, between);
    layer.input = contiguous_sequence<const Real>(plan, between, problem.layer_output_size());
    layer.gathered_input = nullptr;
  }
}

template void stack_forward<float>(const Plan&, const StackForward<float>&);
template void stack_forward<double>(const Plan&, const StackForward<double>&);

}  // namespace lstm_native::driver
