#include "driver/stack_backward.hpp"

#include <algorithm>
#include <memory>
#include <optional>

#include "blas/blas.hpp"
#include "driver/masks.hpp"
#include "driver/stack_forward.hpp"
#include "plan/backward_scratch.hpp"
#include "plan/tape.hpp"

namespace lstm_native::driver {
namespace {

using plan::BackwardPlan;
using plan::Span;

// One call: what is given, and where everything else lies.
template <class Real>
struct Call {
  const BackwardPlan& plan;
  const StackBackward<Real>& stack;
  const plan::BackwardScratch<Real>& scratch;
  plan::TapeLayout tape;
  plan::TapeLayout workspace;
  const plan::Scratch<Real>* forward_scratch;  // null: the gates are on the tape

  const plan::Problem& problem() const { return plan.problem(); }
  index_t total() const { return plan.forward.rows.total(); }
  index_t state(index_t layer, index_t direction) const { return layer * problem().num_directions + direction; }
  Real* gate_gradients(index_t layer, index_t d) const {
    const auto& at = scratch.layout();
    return stack.workspace != nullptr ? stack.workspace + workspace.gates(layer, d)
                                      : scratch.at(at.gate_gradients + d * at.gate_gradients_size);
  }
  Real* hidden_before(index_t layer, index_t d) const {
    const auto& at = scratch.layout();
    if (stack.workspace != nullptr) return stack.workspace + workspace.cells(layer, d);
    return plan.wants.weights ? scratch.at(at.hidden_before + d * at.hidden_before_size) : nullptr;
  }
  bool recomputes() const { return stack.tape_form == plan::TapeForm::hidden && !stack.has_steps; }
  index_t input_stride() const { return plan.forward.rows.even_stride(stack.input); }
  bool gathers_input() const { return plan.wants.weights && input_stride() < problem().input_size; }
  bool scatters_input() const {
    return plan.wants.input && plan.forward.rows.even_stride(stack.input_gradient) < problem().input_size;
  }
};

template <class Real>
StateView<const Real> state_of(StateView<const Real> states, index_t state) {
  if (states.data != nullptr) states.data += state * states.layer_stride;
  return states;
}

template <class Real>
LayerBackward<Real> describe_steps(const Call<Real>& call, index_t index) {
  const plan::Problem& problem = call.problem();
  const auto& at = call.scratch.layout();
  const bool last = index + 1 == problem.num_layers;
  LayerBackward<Real> layer{};
  for (index_t d = 0; d < problem.num_directions; ++d) {
    const index_t state = call.state(index, d);
    DirectionBackward<Real>& direction = layer.directions[d];
    direction.hidden_weights = call.stack.weights[state].hidden;
    const bool in_place = call.plan.hidden_in_place && direction.hidden_weights.column_stride == 1;
    direction.packed_hidden = in_place ? nullptr : call.scratch.at(at.packed_hidden + d * at.packed_hidden_size);
    direction.reverse = d == 1;
    direction.gates = call.recomputes() ? call.gate_gradients(index, d) : call.stack.tape + call.tape.gates(index, d);
    direction.cells = call.stack.tape + call.tape.cells(index, d);
    direction.hidden_initial = state_of(call.stack.hidden_initial, state);
    direction.cell_initial = state_of(call.stack.cell_initial, state);
    direction.hidden_final_gradient = state_of(call.stack.hidden_final_gradient, state);
    direction.cell_final_gradient = state_of(call.stack.cell_final_gradient, state);
    direction.has_output_gradient = !last || call.stack.output_gradient.data != nullptr;
    direction.output_gradient.view = call.stack.output_gradient;
    direction.output_gradient.storage = last ? nullptr : call.scratch.at(at.output_gradient);
    direction.output_gradient.width = problem.layer_output_size();
    direction.output_gradient.first_feature = d * problem.output_size;
    const index_t units = problem.batch * problem.cell_size;
    const bool wants_states = call.plan.wants.states;
    direction.hidden_gradient = wants_states ? call.stack.hidden_gradient + state * units : nullptr;
    direction.cell_gradient =
        wants_states ? call.stack.cell_gradient + state * units : call.scratch.at(at.cell_gradient + d * units);
    direction.gate_gradients = call.gate_gradients(index, d);
    direction.hidden_before = call.hidden_before(index, d);
    direction.sums = call.scratch.at(at.sums + d * problem.batch * call.plan.groups * call.plan.group_units);
  }
  return layer;
}

template <class Real>
LayerProducts<Real> describe_products(const Call<Real>& call, index_t index) {
  const plan::Problem& problem = call.problem();
  const auto& at = call.scratch.layout();
  LayerProducts<Real> layer{};
  layer.input_size = problem.layer_input_size(index);
  const bool stored = index > 0 || call.gathers_input();
  layer.input = stored ? call.scratch.at(at.layer_input) : call.stack.input.data;
  layer.input_stride = stored ? layer.input_size : call.input_stride();
  layer.accumulate = call.stack.accumulate;
  const bool weights = call.plan.wants.weights;
  const bool packs_input = weights && call.plan.packs_rows(layer.input_size);
  const bool packs_hidden = weights && call.plan.packs_rows(problem.output_size);
  // What some matrix's layout needs has a place.
  const bool row_major = (packs_input || packs_hidden) && at.gates_transposed_size > 0;
  const bool column_major = (packs_input || packs_hidden) && at.gate_panels_size > 0;
  const auto place = [&](bool wanted, index_t offset) { return wanted ? call.scratch.at(offset) : nullptr; };
  layer.packed_input = {place(packs_input && column_major, at.input_transposed),
                        place(packs_input && row_major, at.input_panels)};
  if (!call.stack.has_steps && call.plan.wants_input_of(index)) {
    const bool scattered = call.scatters_input();
    const bool given = index == 0 && !scattered;
    layer.input_gradient = given        ? call.stack.input_gradient.data
                           : index == 0 ? call.scratch.at(at.input_gradient)
                                        : call.scratch.at(at.output_gradient);
    layer.input_gradient_stride =
        given ? call.plan.forward.rows.even_stride(call.stack.input_gradient) : layer.input_size;
  }
  for (index_t d = 0; d < problem.num_directions; ++d) {
    const index_t state = call.state(index, d);
    DirectionProducts<Real>& direction = layer.directions[d];
    direction.gate_gradients = call.gate_gradients(index, d);
    direction.hidden_before = call.hidden_before(index, d);
    direction.packed_input_weights = place(layer.input_gradient != nullptr && call.plan.packs_input_weights(),
                                           at.packed_input_weights + d * at.packed_input_weights_size);
    direction.packed_gates = {place(row_major, at.gates_transposed + d * at.gates_transposed_size),
                              place(column_major, at.gate_panels + d * at.gate_panels_size)};
    direction.packed_hidden = {
        place(packs_hidden && column_major, at.hidden_transposed + d * at.hidden_transposed_size),
        place(packs_hidden && row_major, at.hidden_panels + d * at.hidden_panels_size)};
    if (call.stack.weights != nullptr) direction.input_weights = call.stack.weights[state].input;
    if (call.plan.wants.weights) direction.gradients = call.stack.weight_gradients[state];
  }
  return layer;
}

// The outputs of the layer below, from the tape and dropped as they were.
template <class Real>
void store_outputs(const Call<Real>& call, index_t index, Span rows, Real* to) {
  const plan::Problem& problem = call.problem();
  const index_t width = problem.layer_output_size();
  const index_t units = problem.output_size;
  for (index_t d = 0; d < problem.num_directions; ++d) {
    if (call.stack.tape_form == plan::TapeForm::hidden) {
      const Real* hidden = call.stack.tape + call.tape.hidden(index - 1, d);
      for (index_t r = rows.begin; r < rows.end; ++r) {
        std::copy(hidden + r * units, hidden + (r + 1) * units, to + r * width + d * units);
      }
      continue;
    }
    kernels::HiddenStates<Real> states;
    states.gate_stride = gate_count * units;
    states.cell_stride = units;
    states.output_gates = call.stack.tape + call.tape.gates(index - 1, d) + rows.begin * states.gate_stride +
                          static_cast<index_t>(output_gate) * units;
    states.cells = call.stack.tape + call.tape.cells(index - 1, d) + rows.begin * units;
    states.to = to + rows.begin * width + d * units;
    states.rows = rows.size();
    states.units = units;
    states.stride = width;
    plan::kernels_of<Real>(call.plan.forward).backward.hidden_states(states);
  }
  if (call.stack.dropout.probability > 0.0) {
    mask_rows(call.plan.forward, call.stack.dropout, index - 1, rows, to);
  }
}

// What a layer read, where it is not the caller's evenly spaced rows: the outputs of the layer below, or the caller's
// rows one after the other. Each thread stores some rows.
template <class Real>
void store_layer_input(const Call<Real>& call, index_t index, const Team& team, Watch& watch) {
  const plan::Problem& problem = call.problem();
  Real* to = call.scratch.at(call.scratch.layout().layer_input);
  if (index > 0) {
    const index_t work = problem.layer_output_size() * (call.stack.dropout.probability > 0.0 ? mask_work : copy_work);
    run_in_parts(call.total(), team, work, watch, [&](Span rows) { store_outputs(call, index, rows, to); });
    return;
  }
  for (index_t step = team.index; step < problem.seq_len; step += team.size) {
    const index_t count = call.plan.forward.rows.count(step);
    for (index_t r = 0; r < count; ++r) {
      if (watch.stops(problem.input_size * copy_work)) return;
      const Real* from = call.plan.forward.rows.locate(call.stack.input, step, r);
      std::copy(from, from + problem.input_size, call.plan.forward.rows.locate_stored(to, problem.input_size, step, r));
    }
  }
}

// The gradient of a layer's input to that of the outputs below, or into the caller's rows.
template <class Real>
void hand_down(const Call<Real>& call, index_t index, const Team& team, Watch& watch) {
  const plan::Problem& problem = call.problem();
  const auto& at = call.scratch.layout();
  if (index > 0) {
    mask_outputs(call.plan.forward, call.stack.dropout, index - 1, call.scratch.at(at.output_gradient), team, watch);
    return;
  }
  Real* from = call.scratch.at(at.input_gradient);
  for (index_t step = team.index; step < problem.seq_len; step += team.size) {
    const index_t count = call.plan.forward.rows.count(step);
    for (index_t r = 0; r < count; ++r) {
      if (watch.stops(problem.input_size * copy_work)) return;
      const Real* row = call.plan.forward.rows.locate_stored(from, problem.input_size, step, r);
      std::copy(row, row + problem.input_size, call.plan.forward.rows.locate(call.stack.input_gradient, step, r));
    }
  }
}

// Whether the products of input and hidden state are computed without a pass through memory in between, which changes
// no order of sums: where a block's weights for both leave room in L2 for a chunk's rows (25,64,1024 with
// recompute=True took 1.37 instead of 1.34 times as long as without, and 200,8,32 takes 1.29 instead of 1.36, on one
// core of an AMD EPYC Zen 5, whose L2 has 1 MB; `make training`).
template <class Real>
bool computes_gates_in_one_go(const plan::Plan& plan, const plan::LayerPlan& layer) {
  constexpr index_t most_bytes = index_t{1} << 18;
  const index_t columns = layer.work.input_size + layer.work.hidden_size;
  return layer.input_path == plan::WeightPath::packed_per_call &&
         layer.hidden_path == plan::WeightPath::packed_per_call &&
         columns * plan.block_elements() * static_cast<index_t>(sizeof(Real)) <= most_bytes;
}

// The gates that the tape lacks, to where the pre-activations' gradients will be.
template <class Real>
void compute_gates_again(const Call<Real>& call, index_t index, const Team& team, const Meeting& meeting,
                         Watch& watch) {
  const plan::Plan& plan = call.plan.forward;
  const Team own{team.index, std::min(team.size, plan.threads)};
  if (own.index >= own.size) return;
  StackForward<Real> stack{};
  stack.input = call.stack.input;
  stack.hidden_initial = call.stack.hidden_initial;
  stack.cell_initial = call.stack.cell_initial;
  stack.weights = call.stack.forward_weights;
  const plan::Scratch<Real>& scratch = *call.forward_scratch;
  LayerForward<Real> layer = describe_layer(plan, stack, scratch, index);
  if (index > 0) layer.input.storage = call.scratch.at(call.scratch.layout().layer_input);
  for (index_t d = 0; d < plan.problem.num_directions; ++d) {
    DirectionForward<Real>& direction = layer.directions[d];
    direction.gates_tape = call.gate_gradients(index, d);
    direction.known_hidden = call.stack.tape + call.tape.hidden(index, d);
    if (computes_gates_in_one_go<Real>(plan, *layer.plan)) direction.pre_activations = nullptr;
  }
  layer_forward(plan, layer, own, meeting, watch, scratch.step_rows(own.index));
}

// One layer; false where the call is to end.
template <class Real>
bool run_layer(const Call<Real>& call, index_t index, const Team& team, const Meeting& meeting,
               const Meeting& forward_meeting, Watch& watch, TaskCounter* tasks) {
  const auto meet = [&] { return meeting.team->wait(team.size, watch); };
  if (call.problem().batch == 0) {  // no rows, in however many steps: the weights' gradients are sums of nothing
    return gradient_products(call.plan, describe_products(call, index), team, *meeting.team, watch, tasks);
  }
  const bool first = index == 0;
  if (first ? call.gathers_input() : call.plan.wants.weights || call.recomputes()) {
    store_layer_input(call, index, team, watch);
  }
  if (call.recomputes()) {
    if (!meet()) return false;
    compute_gates_again(call, index, team, forward_meeting, watch);
  }
  if (!call.stack.has_steps) {
    const LayerBackward<Real> layer = describe_steps(call, index);
    pack_for_backward(call.plan, layer, team, watch);
    if (!meet()) return false;
    layer_backward(call.plan, layer, team, meeting, watch, call.scratch.rows(team.index));
  }
  if (!meet()) return false;
  if (!gradient_products(call.plan, describe_products(call, index), team, *meeting.team, watch, tasks)) return false;
  if (!meet() || call.stack.has_steps) return !watch.stops(0);
  if (first ? call.scatters_input() : call.stack.dropout.probability > 0.0) {
    hand_down(call, index, team, watch);
    return meet();
  }
  return true;
}

// Whether some matrix's gradient is laid out this way.
template <class Real>
bool has_gradient(const StackBackward<Real>& stack, const plan::Problem& problem, bool row_major) {
  if (stack.weight_gradients == nullptr) return false;
  const auto* end = stack.weight_gradients + problem.num_layers * problem.num_directions;
  const auto is = [&](const MatrixView<Real>& matrix) { return (matrix.column_stride == 1) == row_major; };
  return std::any_of(stack.weight_gradients, end, [&](const auto& cell) { return is(cell.input) || is(cell.hidden); });
}

}  // namespace

template <class Real>
void stack_backward(const plan::Plan& forward, const StackBackward<Real>& stack, Interruption& interruption) {
  const plan::Problem& problem = forward.problem;
  const BackwardPlan plan(forward,
                          {!stack.has_steps && stack.input_gradient.data != nullptr,
                           !stack.has_steps && stack.hidden_gradient != nullptr, stack.weight_gradients != nullptr});
  plan::BackwardNeeds needs;
  needs.steps = !stack.has_steps;
  needs.gate_gradients = stack.workspace == nullptr;
  needs.packed_hidden = needs.steps;
  if (needs.steps && plan.hidden_in_place) {
    const auto* end = stack.weights + problem.num_layers * problem.num_directions;
    needs.packed_hidden =
        std::any_of(stack.weights, end, [](const auto& cell) { return cell.hidden.column_stride != 1; });
  }
  needs.gathered_input = plan.wants.weights && forward.rows.even_stride(stack.input) < problem.input_size;
  needs.scattered_input = plan.wants.input && forward.rows.even_stride(stack.input_gradient) < problem.input_size;
  needs.row_major_gradients = has_gradient(stack, problem, /*row_major=*/true);
  needs.column_major_gradients = has_gradient(stack, problem, /*row_major=*/false);
  const plan::BackwardScratch<Real> scratch(plan, needs, current_pool());
  const std::unique_ptr<Barrier[]> barriers(new Barrier[static_cast<std::size_t>(plan.threads) + 1]);
  const std::unique_ptr<TaskCounter[]> tasks(
      new TaskCounter[static_cast<std::size_t>(problem.num_layers * plan.product_blocks())]);
  const Meeting meeting{&barriers[0], nullptr, &barriers[1], nullptr};
  std::optional<plan::Scratch<Real>> forward_scratch;
  if (stack.tape_form == plan::TapeForm::hidden && !stack.has_steps) {
    plan::ScratchNeeds forward_needs(forward);
    forward_needs.steps_at_once = true;
    forward_needs.input_block_by_block = false;  // panels are read with those of W_hh
    forward_scratch.emplace(forward, forward_needs, current_pool());
  }
  const MeetingPlace forward_place(forward);
  const bool calls_blas = forward_scratch.has_value() || (needs.steps && !plan.packs_input_weights());
  const blas::WorkingMemory blas_memory(calls_blas ? plan.threads : 0);
  const Call<Real> call{plan,
                        stack,
                        scratch,
                        plan::TapeLayout(problem, forward.rows.total(), stack.tape_form),
                        plan::TapeLayout(problem, forward.rows.total()),
                        forward_scratch.has_value() ? &*forward_scratch : nullptr};
  with_team(plan.threads, interruption, [&](const Team& team) noexcept {
    Watch watch(interruption, team.index == 0);
    for (index_t k = problem.num_layers - 1; k >= 0; --k) {
      TaskCounter* of_layer = &tasks[static_cast<std::size_t>(k * plan.product_blocks())];
      if (!run_layer(call, k, team, meeting, forward_place.meeting(), watch, of_layer)) return;
    }
  });
}

template void stack_backward<float>(const plan::Plan&, const StackBackward<float>&, Interruption&);
template void stack_backward<double>(const plan::Plan&, const StackBackward<double>&, Interruption&);

}  // namespace lstm_native::driver
