#include "driver/stack_forward.hpp"

#include <algorithm>

#include "blas/blas.hpp"
#include "driver/masks.hpp"
#include "driver/past_ends.hpp"
#include "plan/tape.hpp"

namespace lstm_native::driver {
namespace {

using plan::Plan;

template <class Real>
StateView<const Real> state_of(StateView<const Real> states, index_t state) {
  states.data += state * states.layer_stride;
  return states;
}

// Whether the calling thread may wait long for the other threads' last steps. It then waits at a barrier, where it
// polls; at the end of the parallel region it can't.
bool takes_long(const Plan& plan) {
  constexpr double worth_a_barrier = 1e8;  // multiply-adds, some milliseconds
  const auto& problem = plan.problem;
  const auto columns = static_cast<double>(problem.output_size + problem.layer_input_size(0));
  return static_cast<double>(plan.rows.total()) * static_cast<double>(plan.row_elements()) * columns > worth_a_barrier;
}

}  // namespace

OwnedBarriers::OwnedBarriers(const Plan& plan)
    : barrier_count_(static_cast<std::size_t>(plan.threads) + 3),
      barriers_(new Barrier[barrier_count_]),
      layers_(plan.wavefront ? new Progress[static_cast<std::size_t>(plan.problem.num_layers)] : nullptr) {}

void OwnedBarriers::reset() {
  for (std::size_t k = 0; k < barrier_count_; ++k) barriers_[k].reset();
}

template <class Real>
LayerForward<Real> describe_layer(const Plan& plan, const StackForward<Real>& stack, const plan::Scratch<Real>& scratch,
                                  index_t index) {
  const plan::Problem& problem = plan.problem;
  const plan::ScratchLayout<Real>& at = scratch.layout();
  const bool last = index + 1 == problem.num_layers;
  const index_t width = problem.layer_output_size();
  LayerForward<Real> layer{};
  layer.layer = index;
  layer.plan = &plan.layer(index);
  layer.blocks_descending = stack.blocks_descending;
  if (index == 0) {
    layer.input.view = stack.input;
  } else {
    layer.input.storage = {scratch.layer_output(index - 1), width};
  }
  for (index_t d = 0; d < problem.num_directions; ++d) {
    const index_t state = index * problem.num_directions + d;
    DirectionForward<Real>& direction = layer.directions[d];
    direction.weights = stack.weights[state];
    direction.packed_input = scratch.at(at.input_panels + d * at.input_panels_size);
    direction.input_block_by_block =
        at.input_block_by_block && layer.plan->input_path == plan::WeightPath::packed_per_call;
    direction.packed_hidden = scratch.at(at.hidden_panels + d * plan.row_elements() * problem.output_size);
    direction.packed_projection = scratch.at(at.projection_panels + d * plan.projected_elements() * problem.cell_size);
    direction.projection_bias = scratch.at(at.projection_bias);
    direction.bias_panel = scratch.at(at.bias + d * plan.row_elements());
    direction.reverse = problem.reversed(d);
    direction.cell = problem.cells[static_cast<std::size_t>(d)];
    direction.recurrent_mask = {{problem.recurrent_dropout, stack.dropout.key, stack.dropout.counter},
                                state * problem.batch,
                                scratch.recurrent_mask(plan, d)};
    for (index_t turn = 0; turn < 2; ++turn) direction.masked_hidden[turn] = scratch.masked_hidden(plan, d, turn);
    direction.hidden_initial = state_of(stack.hidden_initial, state);
    direction.cell_initial = state_of(stack.cell_initial, state);
    direction.hidden_final = {stack.hidden_final + state * problem.batch * problem.output_size, problem.output_size};
    direction.cell_final = {stack.cell_final + state * problem.batch * problem.cell_size, problem.cell_size};
    direction.output.view = stack.output;
    direction.output.storage = {last ? nullptr : scratch.layer_output(index), width};
    direction.output.first_feature = d * problem.output_size;
    direction.cell_outputs = scratch.cell_outputs(plan, index, d);
    direction.projected = scratch.projected(plan, index, d);
    direction.pre_activations = layer.plan->fuses_input ? nullptr : scratch.pre_activations(plan, index, d);
    if (stack.tape != nullptr) {
      const plan::TapeLayout tape(problem, plan.rows.total(), stack.tape_form);
      const bool keeps_gates = stack.tape_form == plan::TapeForm::gates;
      if (keeps_gates) direction.gates_tape = {stack.tape + tape.gates(index, d), gate_count * problem.cell_size};
      if (!keeps_gates || problem.projects()) {
        direction.hidden_tape = {stack.tape + tape.hidden(index, d), problem.output_size};
      }
      direction.cell_tape = {stack.tape + tape.cells(index, d), problem.cell_size};
      if (problem.has_peepholes()) {
        direction.initial_tape = {stack.tape + tape.initial_cells(index, d), problem.cell_size};
      }
    }
  }
  return layer;
}

template <class Real>
void stack_forward(const Plan& plan, const StackForward<Real>& stack, const plan::Scratch<Real>& scratch,
                   const Barriers& barriers, Interruption& interruption) {
  const plan::Problem& problem = plan.problem;
  if (problem.batch == 0) return;
  const bool meets_at_the_end = takes_long(plan);
  const int threads = std::min(plan.threads, stack.most_threads);
  if (plan.wavefront) {
    for (index_t k = 0; k < problem.num_layers; ++k) barriers.layers[k].reset();
    with_team(threads, interruption, [&](const Team& team) noexcept {
      CancellationPoll poll(interruption, team.index == 0);
      for (index_t k = team.index; k < problem.num_layers && !poll.cancelled(0); k += team.size) {
        layer_forward_in_wavefront(plan, describe_layer(plan, stack, scratch, k), barriers, poll,
                                   scratch.of_thread(team.index));
      }
      if (meets_at_the_end) barriers.team->wait(team.size, poll);
    });
    return;
  }
  with_team(threads, interruption, [&](const Team& team) noexcept {
    CancellationPoll poll(interruption, team.index == 0);
    for (index_t k = 0; k < problem.num_layers; ++k) {
      const LayerForward<Real> layer = describe_layer(plan, stack, scratch, k);
      layer_forward(plan, layer, team, barriers, poll, scratch.of_thread(team.index));
      if (k + 1 == problem.num_layers) break;
      if (!barriers.team->wait(team.size, poll)) return;
      if (stack.dropout.probability > 0.0) {
        mask_outputs(plan, stack.dropout, k, layer.directions[0].output.storage.data, team, poll);
        if (!barriers.team->wait(team.size, poll)) return;
      }
    }
    if (meets_at_the_end) barriers.team->wait(team.size, poll);
  });
}

template <class Real>
void stack_forward(const Plan& plan, const StackForward<Real>& stack, Interruption& interruption) {
  const plan::Scratch<Real> scratch(plan, plan::ScratchNeeds(plan), current_pool());
  const OwnedBarriers place(plan);
  const blas::WorkingMemory blas_memory(plan.calls_blas() ? plan.threads : 0);
  if (stack.tape != nullptr) {
    plan::write_header(stack.tape, plan.problem, plan.rows.total(), stack.tape_form, stack.dropout.key,
                       stack.dropout.counter);
  }
  stack_forward(plan, stack, scratch, place.barriers(), interruption);
  clear_past_ends(plan, stack.output, plan.problem.layer_output_size(), interruption);
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                                  \
  template LayerForward<Real> describe_layer<Real>(const Plan&, const StackForward<Real>&, const plan::Scratch<Real>&, \
                                                   index_t);                                                           \
  template void stack_forward<Real>(const Plan&, const StackForward<Real>&, const plan::Scratch<Real>&,                \
                                    const Barriers&, Interruption&);                                                   \
  template void stack_forward<Real>(const Plan&, const StackForward<Real>&, Interruption&);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::driver
