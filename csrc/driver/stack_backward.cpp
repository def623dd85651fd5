#include "driver/stack_backward.hpp"

#include <algorithm>
#include <memory>
#include <optional>

#include "blas/blas.hpp"
#include "driver/backward_memory.hpp"
#include "driver/masks.hpp"
#include "driver/past_ends.hpp"
#include "driver/recomputation.hpp"
#include "driver/recorded_input.hpp"

namespace lstm_native::driver {
namespace {

using plan::BackwardPlan;

template <class Real>
StateView<const Real> state_of(StateView<const Real> states, index_t state) {
  if (states.data != nullptr) states.data += state * states.layer_stride;
  return states;
}

// The products of both entry points: those for the gradients of the weights.
template <class Real>
LayerProducts<Real> describe_weight_products(const BackwardMemory<Real>& memory,
                                             const StackWeightGradients<Real>& wanted, index_t index) {
  const plan::Problem& problem = memory.problem();
  const BackwardPlan& plan = memory.plan;
  const auto& at = memory.scratch.layout();
  LayerProducts<Real> layer{};
  layer.input_size = problem.layer_input_size(index);
  const bool stored = index > 0 || memory.gathers_input();
  layer.input = stored ? memory.layer_input() : memory.forward.input.data;
  layer.input_stride = stored ? layer.input_size : plan.forward.rows.even_stride(memory.forward.input);
  layer.accumulate = wanted.accumulate;
  const bool packs_input = plan.wants.weights && plan.packs_rows(layer.input_size);
  const bool packs_hidden = plan.wants.weights && plan.packs_rows(problem.output_size);
  // The scratch only has places that the layout of some matrix needs.
  const bool row_major = (packs_input || packs_hidden) && at.gates_transposed_size > 0;
  const bool column_major = (packs_input || packs_hidden) && at.gate_panels_size > 0;
  const auto place = [&](bool needed, index_t offset) { return needed ? memory.scratch.at(offset) : nullptr; };
  const bool packs_projection = plan.wants.weights && problem.projects() && plan.packs_rows(problem.cell_size);
  const bool projection_row_major = packs_projection && at.gradients_transposed_size > 0;
  const bool projection_column_major = packs_projection && at.gradient_panels_size > 0;
  layer.packed_input = {place(packs_input && column_major, at.input_transposed),
                        place(packs_input && row_major, at.input_panels)};
  for (index_t d = 0; d < problem.num_directions; ++d) {
    DirectionProducts<Real>& direction = layer.directions[d];
    const StoredRows<Real> gates = memory.gate_gradients(index, d);
    direction.gate_gradients = {gates.data, gates.width};
    const StoredRows<Real> before = memory.previous_hidden(index, d);
    direction.previous_hidden = {before.data, before.width};
    direction.packed_gates = {place(row_major, at.gates_transposed + d * at.gates_transposed_size),
                              place(column_major, at.gate_panels + d * at.gate_panels_size)};
    direction.packed_hidden = {
        place(packs_hidden && column_major, at.hidden_transposed + d * at.hidden_transposed_size),
        place(packs_hidden && row_major, at.hidden_panels + d * at.hidden_panels_size)};
    direction.reverse = problem.reversed(d);
    direction.cells = memory.recorded_cells(index, d);
    if (problem.has_peepholes()) direction.initial_cells = memory.recorded_initial_cells(index, d);
    const StoredRows<Real> hidden_gradients = memory.hidden_gradients(index, d);
    direction.hidden_gradients = {hidden_gradients.data, hidden_gradients.width};
    const StoredRows<Real> cell_outputs = memory.cell_outputs(d);
    direction.cell_outputs = {cell_outputs.data, cell_outputs.width};
    direction.packed_hidden_gradients = {
        place(projection_row_major, at.gradients_transposed + d * at.gradients_transposed_size),
        place(projection_column_major, at.gradient_panels + d * at.gradient_panels_size)};
    direction.packed_cell_outputs = {
        place(projection_column_major, at.outputs_transposed + d * at.outputs_transposed_size),
        place(projection_row_major, at.output_panels + d * at.output_panels_size)};
    if (plan.wants.weights) direction.gradients = wanted.cells[memory.state(index, d)];
  }
  return layer;
}

// Whether the gradient of some matrix has contiguous rows, or contiguous columns.
template <class Real>
bool has_gradient(const StackWeightGradients<Real>& wanted, const plan::Problem& problem, bool row_major) {
  if (wanted.cells == nullptr) return false;
  const auto* end = wanted.cells + problem.num_layers * problem.num_directions;
  const auto is = [&](const MatrixView<Real>& matrix) { return (matrix.column_stride == 1) == row_major; };
  return std::any_of(wanted.cells, end, [&](const auto& cell) {
    return is(cell.input) || is(cell.hidden) || (cell.projection.data != nullptr && is(cell.projection));
  });
}

// The needs of both entry points.
template <class Real>
plan::BackwardNeeds common_needs(const BackwardPlan& plan, const SequenceView<const Real>& input,
                                 const StackWeightGradients<Real>& wanted) {
  plan::BackwardNeeds needs;
  needs.gathered_input = plan.wants.weights && plan.forward.rows.even_stride(input) < plan.problem().input_size;
  needs.row_major_gradients = has_gradient(wanted, plan.problem(), /*row_major=*/true);
  needs.column_major_gradients = has_gradient(wanted, plan.problem(), /*row_major=*/false);
  return needs;
}

// The counters of the tasks of each layer's products.
class Tasks {
 public:
  explicit Tasks(const BackwardPlan& plan)
      : blocks_(plan.product_blocks()),
        tasks_(new TaskCounter[static_cast<std::size_t>(plan.problem().num_layers * blocks_)]) {}
  TaskCounter* of_layer(index_t index) const { return &tasks_[static_cast<std::size_t>(index * blocks_)]; }

 private:
  index_t blocks_;
  std::unique_ptr<TaskCounter[]> tasks_;
};

// Calls run_layer(index, team, poll) on every thread of a team, for the layers from the last to the first, until a
// call returns false.
template <class RunLayer>
void for_layers_backward(const BackwardPlan& plan, Interruption& interruption, const RunLayer& run_layer) {
  with_team(plan.threads, interruption, [&](const Team& team) noexcept {
    CancellationPoll poll(interruption, team.index == 0);
    for (index_t k = plan.problem().num_layers - 1; k >= 0; --k) {
      if (!run_layer(k, team, poll)) return;
    }
  });
}

// --- all gradients --------------------------------------------------------------------------------------------------

template <class Real>
struct WholeCall {
  const StackBackward<Real>& stack;
  const BackwardMemory<Real>& memory;
  const Recomputation<Real>* recomputation;  // null: the gates are on the tape
  Barriers barriers;
  const Tasks& tasks;

  const BackwardPlan& plan() const { return memory.plan; }
  bool scatters_input() const {
    return plan().wants.input && plan().forward.rows.even_stride(stack.input_gradient) < memory.problem().input_size;
  }
};

template <class Real>
LayerBackward<Real> describe_steps(const WholeCall<Real>& call, index_t index) {
  const BackwardMemory<Real>& memory = call.memory;
  const StackBackward<Real>& stack = call.stack;
  const plan::Problem& problem = memory.problem();
  const auto& at = memory.scratch.layout();
  const bool last = index + 1 == problem.num_layers;
  LayerBackward<Real> layer{};
  for (index_t d = 0; d < problem.num_directions; ++d) {
    const index_t state = memory.state(index, d);
    DirectionBackward<Real>& direction = layer.directions[d];
    direction.cell = problem.cells[static_cast<std::size_t>(d)];
    direction.hidden_weights = stack.weights[state].hidden;
    direction.peephole = stack.weights[state].peephole;
    const bool in_place = call.plan().hidden_in_place && direction.hidden_weights.column_stride == 1;
    direction.packed_hidden = in_place ? nullptr : memory.scratch.at(at.packed_hidden + d * at.packed_hidden_size);
    direction.projection_weights = stack.weights[state].projection;
    direction.packed_projection =
        direction.projection_weights.data == nullptr ||
                (call.plan().projection_in_place && direction.projection_weights.column_stride == 1)
            ? nullptr
            : memory.scratch.at(at.packed_projection + d * at.packed_projection_size);
    direction.reverse = problem.reversed(d);
    direction.gate_gradients = memory.gate_gradients(index, d);
    direction.gates = call.recomputation != nullptr
                          ? StoredRows<const Real>{direction.gate_gradients.data, direction.gate_gradients.width}
                          : memory.recorded_gates(index, d);
    direction.cells = memory.recorded_cells(index, d);
    direction.hidden = memory.recorded_hidden(index, d);
    direction.hidden_initial = state_of(stack.hidden_initial, state);
    direction.cell_initial = state_of(stack.cell_initial, state);
    direction.hidden_final_gradient = state_of(stack.hidden_final_gradient, state);
    direction.cell_final_gradient = state_of(stack.cell_final_gradient, state);
    direction.has_output_gradient = !last || stack.output_gradient.data != nullptr;
    direction.output_gradient.view = stack.output_gradient;
    direction.output_gradient.storage = {last ? nullptr : memory.scratch.at(at.output_gradient),
                                         problem.layer_output_size()};
    direction.output_gradient.first_feature = d * problem.output_size;
    const bool wants_states = call.plan().wants.states;
    const index_t hidden = problem.batch * problem.output_size;
    const index_t cells = problem.batch * problem.cell_size;
    direction.hidden_gradient = {wants_states ? stack.hidden_gradient + state * hidden : nullptr, problem.output_size};
    direction.cell_gradient = {
        wants_states ? stack.cell_gradient + state * cells : memory.scratch.at(at.cell_gradient + d * cells),
        problem.cell_size};
    direction.previous_hidden = memory.previous_hidden(index, d);
    direction.hidden_gradients = memory.hidden_gradients(index, d);
    direction.cell_outputs = memory.cell_outputs(d);
    const index_t sums = call.plan().groups * call.plan().group_units;
    direction.sums = {memory.scratch.at(at.sums + d * problem.batch * sums), sums};
    if (problem.recurrent_dropout == 0.0) continue;
    const rng::DropoutStream& masks = stack.forward.dropout;
    direction.recurrent_mask = {{problem.recurrent_dropout, masks.key, masks.counter},
                                state * problem.batch,
                                {memory.scratch.at(at.recurrent_masks + d * hidden), problem.output_size}};
    direction.recurrent_gradients = {memory.scratch.at(at.recurrent_gradients + d * hidden), problem.output_size};
  }
  return layer;
}

// Adds the gradient of the layer's input, if it is wanted.
template <class Real>
LayerProducts<Real> describe_products(const WholeCall<Real>& call, index_t index) {
  const BackwardMemory<Real>& memory = call.memory;
  const auto& at = memory.scratch.layout();
  LayerProducts<Real> layer = describe_weight_products(memory, call.stack.weight_gradients, index);
  if (!call.plan().wants_input_of(index)) return layer;
  const bool given = index == 0 && !call.scatters_input();
  layer.input_gradient =
      given ? call.stack.input_gradient.data : memory.scratch.at(index == 0 ? at.input_gradient : at.output_gradient);
  layer.input_gradient_stride =
      given ? call.plan().forward.rows.even_stride(call.stack.input_gradient) : layer.input_size;
  for (index_t d = 0; d < memory.problem().num_directions; ++d) {
    DirectionProducts<Real>& direction = layer.directions[d];
    direction.input_weights = call.stack.weights[memory.state(index, d)].input;
    if (call.plan().packs_input_weights()) {
      direction.packed_input_weights = memory.scratch.at(at.packed_input_weights + d * at.packed_input_weights_size);
    }
  }
  return layer;
}

// Copies the gradient of the first layer's input into the caller's rows.
template <class Real>
void scatter_input_gradient(const WholeCall<Real>& call, const Team& team, CancellationPoll& poll) {
  const plan::Problem& problem = call.memory.problem();
  const plan::ActiveRows& rows = call.plan().forward.rows;
  const StoredRows<Real> from{call.memory.scratch.at(call.memory.scratch.layout().input_gradient), problem.input_size};
  for (index_t step = team.index; step < problem.seq_len; step += team.size) {
    const index_t count = rows.count(step);
    for (index_t r = 0; r < count; ++r) {
      if (poll.cancelled(from.width * copy_work)) return;
      const Real* row = from.row(rows.stored(step, r));
      std::copy(row, row + from.width, rows.locate(call.stack.input_gradient, step, r));
    }
  }
}

// The gradient of a layer's input becomes the gradient of the outputs below, or the caller's. False: the call is
// cancelled.
template <class Real>
bool hand_down(const WholeCall<Real>& call, index_t index, const Team& team, CancellationPoll& poll) {
  const rng::DropoutStream& dropout = call.stack.forward.dropout;
  if (index == 0 && call.scatters_input()) {
    scatter_input_gradient(call, team, poll);
  } else if (index > 0 && dropout.probability > 0.0) {
    mask_outputs(call.plan().forward, dropout, index - 1,
                 call.memory.scratch.at(call.memory.scratch.layout().output_gradient), team, poll);
  } else {
    return true;
  }
  return call.barriers.team->wait(team.size, poll);
}

// Runs one layer. False: the call is cancelled.
template <class Real>
bool run_layer(const WholeCall<Real>& call, index_t index, const Team& team, CancellationPoll& poll) {
  const BackwardMemory<Real>& memory = call.memory;
  const auto meet = [&] { return call.barriers.team->wait(team.size, poll); };
  const auto multiply = [&] {
    return gradient_products(call.plan(), describe_products(call, index), team, *call.barriers.team, poll,
                             call.tasks.of_layer(index));
  };
  if (memory.problem().batch == 0) return multiply();  // the gradients of the weights are empty sums
  const bool recomputes = call.recomputation != nullptr;
  if (index == 0 ? memory.gathers_input() : call.plan().wants.weights || recomputes) {
    store_layer_input(memory, index, team, poll);
  }
  if (recomputes) {
    if (!meet()) return false;
    call.recomputation->compute_gates(memory, index, team, poll);
  }
  const LayerBackward<Real> layer = describe_steps(call, index);
  pack_for_backward(call.plan(), layer, team, poll);
  if (!meet()) return false;
  layer_backward(call.plan(), layer, team, call.barriers, poll, memory.scratch.rows(team.index));
  return meet() && multiply() && meet() && hand_down(call, index, team, poll);
}

}  // namespace

template <class Real>
void stack_backward(const plan::Plan& forward, const StackBackward<Real>& stack, Interruption& interruption) {
  const plan::Problem& problem = forward.problem;
  const BackwardPlan plan(forward, {stack.input_gradient.data != nullptr, stack.hidden_gradient != nullptr,
                                    stack.weight_gradients.cells != nullptr});
  plan::BackwardNeeds needs = common_needs(plan, stack.forward.input, stack.weight_gradients);
  needs.gate_gradients = stack.workspace == nullptr;
  const auto* end = stack.weights + problem.num_layers * problem.num_directions;
  if (plan.hidden_in_place) {
    needs.packed_hidden =
        std::any_of(stack.weights, end, [](const auto& cell) { return cell.hidden.column_stride != 1; });
  }
  if (plan.projection_in_place) {
    needs.packed_projection =
        std::any_of(stack.weights, end, [](const auto& cell) { return cell.projection.column_stride != 1; });
  }
  needs.scattered_input = plan.wants.input && forward.rows.even_stride(stack.input_gradient) < problem.input_size;
  const plan::BackwardScratch<Real> scratch(plan, needs, current_pool());
  const std::unique_ptr<Barrier[]> barriers(new Barrier[static_cast<std::size_t>(plan.threads) + 1]);
  const Tasks tasks(plan);
  std::optional<Recomputation<Real>> recomputation;
  if (stack.forward.tape_form == plan::TapeForm::hidden) recomputation.emplace(forward, stack);
  const bool calls_blas = recomputation.has_value() || !plan.packs_input_weights();
  const blas::WorkingMemory blas_memory(calls_blas ? plan.threads : 0);
  const BackwardMemory<Real> memory(plan, stack.forward, scratch, stack.workspace);
  const WholeCall<Real> call{stack, memory, recomputation.has_value() ? &*recomputation : nullptr,
                             Barriers{&barriers[0], nullptr, &barriers[1], nullptr}, tasks};
  for_layers_backward(plan, interruption, [&](index_t index, const Team& team, CancellationPoll& poll) {
    return run_layer(call, index, team, poll);
  });
  if (plan.wants.input) clear_past_ends(forward, stack.input_gradient, problem.input_size, interruption);
}

template <class Real>
void stack_weight_gradients(const plan::Plan& forward, const RecordedForward<Real>& recorded, const Real* workspace,
                            const StackWeightGradients<Real>& wanted, Interruption& interruption) {
  const BackwardPlan plan(forward, {/*input=*/false, /*states=*/false, /*weights=*/true});
  plan::BackwardNeeds needs = common_needs(plan, recorded.input, wanted);
  needs.steps = needs.gate_gradients = needs.packed_hidden = false;
  const plan::BackwardScratch<Real> scratch(plan, needs, current_pool());
  Barrier barrier;
  const Tasks tasks(plan);
  // The call only reads it.
  const BackwardMemory<Real> memory(plan, recorded, scratch, const_cast<Real*>(workspace));
  for_layers_backward(plan, interruption, [&](index_t index, const Team& team, CancellationPoll& poll) {
    if (plan.problem().batch > 0) {
      if (index > 0 || memory.gathers_input()) store_layer_input(memory, index, team, poll);
      if (plan.problem().projects()) store_cell_outputs(memory, index, team, poll);
    }
    return barrier.wait(team.size, poll) &&
           gradient_products(plan, describe_weight_products(memory, wanted, index), team, barrier, poll,
                             tasks.of_layer(index)) &&
           barrier.wait(team.size, poll);
  });
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                      \
  template void stack_backward<Real>(const plan::Plan&, const StackBackward<Real>&, Interruption&);        \
  template void stack_weight_gradients<Real>(const plan::Plan&, const RecordedForward<Real>&, const Real*, \
                                             const StackWeightGradients<Real>&, Interruption&);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::driver
