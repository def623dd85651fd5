#include "driver/stack_forward.hpp"

#include <algorithm>

#include "blas/blas.hpp"
#include "driver/masks.hpp"
#include "plan/tape.hpp"

namespace lstm_native::driver {
namespace {

using plan::Plan;

bool fuses_input(const Plan& plan, const WeightPaths& paths) {
  const auto is_packed = [](WeightPath path) {
    return path == WeightPath::packed || path == WeightPath::packed_per_call;
  };
  return plan.fused_input && is_packed(paths.input) && is_packed(paths.hidden);
}

// Whether W_ih is packed a unit block at a time, each right before the rows that need it: where all rows are projected
// at once, and the threads share the blocks among them. The block then stays in the L2 cache, and no fresh memory is
// touched.
bool packs_input_block_by_block(const Plan& plan) {
  if (plan.fused_input || plan.chunks() > 1 || plan.threads > plan.blocks) return false;
  const index_t different_layers = std::min<index_t>(plan.problem.num_layers, 2);
  for (index_t layer = 0; layer < different_layers; ++layer) {
    if (plan.split(layer, plan.threads).rows > 1) return false;
  }
  return true;
}

template <class Real>
StateView<const Real> state_of(StateView<const Real> states, index_t state) {
  states.data += state * states.layer_stride;
  return states;
}

template <class Real>
bool calls_blas(const Plan& plan, const StackForward<Real>& stack) {
  if (stack.weights[0].packed()) return false;
  for (index_t layer = 0; layer < std::min<index_t>(plan.problem.num_layers, 2); ++layer) {  // the others are alike
    if (weight_paths(plan, layer, stack.input, /*packed=*/false).input == WeightPath::blas) return true;
  }
  return false;
}

// Whether the calling thread could wait for the others' last steps for long: then it does so at a barrier, where it
// keeps its watch, which it can't at the end of the region.
bool takes_long(const Plan& plan) {
  constexpr double worth_a_barrier = 1e8;  // multiply-adds, some milliseconds
  const auto& problem = plan.problem;
  const auto columns = static_cast<double>(problem.output_size + problem.layer_input_size(0));
  return static_cast<double>(plan.rows.total()) * static_cast<double>(plan.row_elements()) * columns > worth_a_barrier;
}

}  // namespace

MeetingPlace::MeetingPlace(const Plan& plan)
    : barrier_count_(static_cast<std::size_t>(plan.threads) + 3),
      barriers_(new Barrier[barrier_count_]),
      layers_(plan.wavefront ? new Progress[static_cast<std::size_t>(plan.problem.num_layers)] : nullptr) {}

void MeetingPlace::reset() {
  for (std::size_t k = 0; k < barrier_count_; ++k) barriers_[k].reset();
}

template <class Real>
WeightPaths weight_paths(const Plan& plan, index_t layer, const SequenceView<const Real>& input, bool packed) {
  if (packed) return {WeightPath::packed, WeightPath::packed};
  const index_t stride = plan.rows.even_stride(input);
  const bool even_rows = layer > 0 || (stride >= plan.problem.input_size && blas::can_count(stride));
  return {input_path(plan, layer, even_rows), hidden_path(plan)};
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
  layer.backwards = stack.backwards;
  if (index == 0) {
    layer.input.view = stack.input;
  } else {
    layer.input.storage = scratch.layer_output(index - 1);
    layer.input.width = width;
  }
  for (index_t d = 0; d < problem.num_directions; ++d) {
    const index_t state = index * problem.num_directions + d;
    DirectionForward<Real>& direction = layer.directions[d];
    direction.weights = stack.weights[state];
    const WeightPaths paths = weight_paths(plan, index, stack.input, direction.weights.packed());
    direction.input_path = paths.input;
    direction.hidden_path = paths.hidden;
    direction.packed_input = scratch.at(at.input_panels + d * at.input_panels_size);
    direction.input_block_by_block = at.input_block_by_block && paths.input == WeightPath::packed_per_call;
    direction.packed_hidden = scratch.at(at.hidden_panels + d * plan.row_elements() * problem.output_size);
    direction.bias_panel = scratch.at(at.bias + d * plan.row_elements());
    direction.reverse = d == 1;
    direction.hidden_initial = state_of(stack.hidden_initial, state);
    direction.cell_initial = state_of(stack.cell_initial, state);
    direction.hidden_final = stack.hidden_final + state * problem.batch * problem.output_size;
    direction.cell_final = stack.cell_final + state * problem.batch * problem.cell_size;
    direction.output.view = stack.output;
    direction.output.storage = last ? nullptr : scratch.layer_output(index);
    direction.output.width = width;
    direction.output.first_feature = d * problem.output_size;
    direction.pre_activations = fuses_input(plan, paths) ? nullptr : scratch.pre_activations(plan, index, d);
    if (stack.tape != nullptr) {
      const plan::TapeLayout tape(problem, plan.rows.total(), stack.tape_form);
      const bool keeps_gates = stack.tape_form == plan::TapeForm::gates;
      (keeps_gates ? direction.gates_tape : direction.hidden_tape) = stack.tape + tape.gates(index, d);
      direction.cell_tape = stack.tape + tape.cells(index, d);
    }
  }
  return layer;
}

template <class Real>
plan::ScratchNeeds scratch_needs(const Plan& plan, const CellWeights<Real>* weights,
                                 const SequenceView<const Real>& input) {
  const plan::Problem& problem = plan.problem;
  plan::ScratchNeeds needs;
  for (index_t state = 0; state < problem.num_layers * problem.num_directions; ++state) {
    const index_t layer = state / problem.num_directions;
    const WeightPaths paths = weight_paths(plan, layer, input, weights[state].packed());
    if (paths.input == WeightPath::packed_per_call) {
      needs.packed_input_columns = std::max(needs.packed_input_columns, problem.layer_input_size(layer));
    }
    needs.packed_hidden |= paths.hidden == WeightPath::packed_per_call;
    needs.bias |= !weights[state].packed();
    needs.pre_activations |= !fuses_input(plan, paths);
  }
  needs.input_block_by_block = needs.packed_input_columns > 0 && packs_input_block_by_block(plan);
  return needs;
}

template <class Real>
void stack_forward(const Plan& plan, const StackForward<Real>& stack, const plan::Scratch<Real>& scratch,
                   const Meeting& meeting, Interruption& interruption) {
  const plan::Problem& problem = plan.problem;
  if (problem.batch == 0) return;
  const bool meets_at_the_end = takes_long(plan);
  const int threads = std::min(plan.threads, stack.most_threads);
  if (plan.wavefront) {
    for (index_t k = 0; k < problem.num_layers; ++k) meeting.layers[k].reset();
    with_team(threads, interruption, [&](const Team& team) noexcept {
      Watch watch(interruption, team.index == 0);
      for (index_t k = team.index; k < problem.num_layers && !watch.stops(0); k += team.size) {
        layer_forward_in_wavefront(plan, describe_layer(plan, stack, scratch, k), meeting, watch,
                                   scratch.step_rows(team.index));
      }
      if (meets_at_the_end) meeting.team->wait(team.size, watch);
    });
    return;
  }
  with_team(threads, interruption, [&](const Team& team) noexcept {
    Watch watch(interruption, team.index == 0);
    for (index_t k = 0; k < problem.num_layers; ++k) {
      const LayerForward<Real> layer = describe_layer(plan, stack, scratch, k);
      layer_forward(plan, layer, team, meeting, watch, scratch.step_rows(team.index));
      if (k + 1 == problem.num_layers) break;
      if (!meeting.team->wait(team.size, watch)) return;
      if (stack.dropout.probability > 0.0) {
        mask_outputs(plan, stack.dropout, k, layer.directions[0].output.storage, team, watch);
        if (!meeting.team->wait(team.size, watch)) return;
      }
    }
    if (meets_at_the_end) meeting.team->wait(team.size, watch);
  });
}

template <class Real>
void stack_forward(const Plan& plan, const StackForward<Real>& stack, Interruption& interruption) {
  const plan::Scratch<Real> scratch(plan, scratch_needs(plan, stack.weights, stack.input), current_pool());
  const MeetingPlace place(plan);
  const blas::WorkingMemory blas_memory(calls_blas(plan, stack) ? plan.threads : 0);
  if (stack.tape != nullptr) {
    plan::write_header(stack.tape, plan.problem, plan.rows.total(), stack.tape_form, stack.dropout.key,
                       stack.dropout.counter);
  }
  stack_forward(plan, stack, scratch, place.meeting(), interruption);
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                                  \
  template LayerForward<Real> describe_layer<Real>(const Plan&, const StackForward<Real>&, const plan::Scratch<Real>&, \
                                                   index_t);                                                           \
  template WeightPaths weight_paths<Real>(const Plan&, index_t, const SequenceView<const Real>&, bool);                \
  template plan::ScratchNeeds scratch_needs<Real>(const Plan&, const CellWeights<Real>*,                               \
                                                  const SequenceView<const Real>&);                                    \
  template void stack_forward<Real>(const Plan&, const StackForward<Real>&, const plan::Scratch<Real>&,                \
                                    const Meeting&, Interruption&);                                                    \
  template void stack_forward<Real>(const Plan&, const StackForward<Real>&, Interruption&);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::driver
