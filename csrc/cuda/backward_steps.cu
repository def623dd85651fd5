#include <algorithm>

#include "cuda/backward.hpp"
#include "cuda/persistent.hpp"

namespace lstm_native::cuda {

template <class Real>
void BackwardPlan<Real>::issue_steps() {
  if (wavefront()) {
    issue_wavefront();
    return;
  }
  const Chunk all{0, problem().seq_len};
  for (index_t layer = problem().num_layers - 1; layer >= 0; --layer) {
    if (split_.has_value()) {
      run_layer(layer);
    } else {
      fork();
      for (const Strand& strand : strands()) run_strand(layer, strand, all);
      join();
    }
    if (layer > 0) input_gradient(layer, all, arena_.at(output_gradients_[(layer - 1) % 2]), 0);
  }
}

// As forward, but from the last chunk to the first and from the top layer down. In a wave, the lower layers go first.
template <class Real>
void BackwardPlan<Real>::issue_wavefront() {
  const std::vector<Chunk> parts = chunks();
  const auto count = static_cast<index_t>(parts.size());
  const index_t layers = problem().num_layers;
  hand_over(0, lane_of(layers - 1));  // the other lanes wait for it
  for (index_t wave = 0; wave < count + layers - 1; ++wave) {
    for (index_t depth = std::min(wave, layers - 1); depth >= std::max<index_t>(0, wave - count + 1); --depth) {
      const index_t layer = layers - 1 - depth;
      const Chunk steps = parts[static_cast<std::size_t>(count - 1 - (wave - depth))];
      const std::size_t lane = lane_of(layer);
      if (depth > 0) wait_for_chunk(layer + 1, lane);
      run_strand(layer, {0, 1, lane}, {problem().seq_len - steps.end, problem().seq_len - steps.begin});
      if (layer > 0) input_gradient(layer, steps, arena_.at(output_gradients_[(layer - 1) % 2]), lane);
      end_chunk(layer, lane);
    }
  }
}

// steps: counted against the directions' time, from the last step on.
template <class Real>
void BackwardPlan<Real>::run_strand(index_t layer, const Strand& strand, Chunk steps) {
  for (index_t k = steps.begin; k < steps.end; ++k) {
    step(layer, strand, k);
    if (!options().wants_states) continue;
    for (index_t n = 0; n < strand.directions; ++n) finish_hidden(layer, strand.first_direction + n, k, strand.lane);
  }
}

template <class Real>
BackwardStep<Real> BackwardPlan<Real>::step_of_layer(index_t layer) const {
  BackwardStep<Real> step{};
  if (layer + 1 < problem().num_layers || options().has_output_gradient) {
    step.output_gradient = arena_.at(output_gradients_[layer % 2]);
  }
  step.call = call_;
  step.units = units();
  step.output_width = problem().layer_output_size();
  step.tape_elements = gradients_layout_.elements();
  step.dropout = dropout_of(layer);
  return step;
}

template <class Real>
BackwardDirection<Real> BackwardPlan<Real>::direction_of_layer(index_t layer, index_t d) const {
  const index_t state_size = problem().batch * units();
  const index_t first = state_of(layer, d) * state_size;
  BackwardDirection<Real> direction{};
  direction.hidden_gradient = arena_.at(hidden_gradient_, first, state_size);
  direction.cell_gradient = arena_.at(cell_gradient_, first, state_size);
  direction.cell_initial = arena_.at(cell_initial_, first, state_size);
  direction.gate_gradients = gate_gradients(layer, d);
  direction.first_feature = d * units();
  direction.gates_on_tape = gradients_layout_.gates(layer, d);
  direction.cells_on_tape = gradients_layout_.cells(layer, d);
  return direction;
}

template <class Real>
void BackwardPlan<Real>::step(index_t layer, const Strand& strand, index_t k) {
  const index_t state_size = problem().batch * units();
  BackwardStep<Real> arguments = step_of_layer(layer);
  const Real* next_gate_gradients[2] = {};  // of the next step in the direction's time
  index_t continuing = 0;                   // rows that have a next step
  for (index_t n = 0; n < strand.directions; ++n) {
    const index_t d = strand.first_direction + n;
    const index_t at = step_backward(d, k);
    const index_t before = d == 0 ? at - 1 : at + 1;
    const bool has_before = before >= 0 && before < problem().seq_len;
    BackwardDirection<Real>& direction = arguments.directions[n];
    direction = direction_of_layer(layer, d);
    direction.active = rows_.count(at);
    direction.stored_row = rows_.offset(at);
    direction.before_active = has_before ? rows_.count(before) : 0;
    direction.before_stored_row = has_before ? rows_.offset(before) : 0;
    if (k > 0) {
      const index_t after = step_backward(d, k - 1);
      continuing = std::min(rows_.count(at), rows_.count(after));
      next_gate_gradients[n] = direction.gate_gradients.data + rows_.offset(after) * gates();
    }
  }
  const index_t apart = strand.directions == 2 ? next_gate_gradients[1] - next_gate_gradients[0] : 0;
  multiply<Real>(blas(strand.lane), options().tf32, {continuing, units(), gates(), strand.directions},
                 {next_gate_gradients[0], gates(), apart}, false,
                 {hidden_weights(layer, strand.first_direction).data, units(), gates() * units()}, false,
                 {arguments.directions[0].hidden_gradient.data, units(), state_size}, false);
  launch(stream(strand.lane), arguments.directions[0].active * units(), 1, strand.directions, gates_backward<Real>,
         arguments);
}

// All steps of both directions in one launch, and the gradients of their initial states.
template <class Real>
void BackwardPlan<Real>::run_layer(index_t layer) {
  BackwardLayer<Real> arguments{};
  arguments.step = step_of_layer(layer);
  arguments.rows = device_rows_;
  arguments.batch = problem().batch;
  arguments.wants_states = options().wants_states;
  arguments.split = *split_;
  for (index_t d = 0; d < problem().num_directions; ++d) {
    arguments.step.directions[d] = direction_of_layer(layer, d);
    arguments.directions[d] = {hidden_weights(layer, d), arrivals_of(state_of(layer, d))};
  }
  launch_layer(stream(0), arguments, problem().num_directions);
}

// The gradient of the initial hidden state, for the rows that had their first step then.
template <class Real>
void BackwardPlan<Real>::finish_hidden(index_t layer, index_t direction, index_t k, std::size_t lane) {
  const index_t last = problem().seq_len - 1;
  const index_t at = step_backward(direction, k);
  if (direction == 0 && k < last) return;
  const index_t begin = direction == 0 || at == last ? 0 : rows_.count(at + 1);
  const index_t first = (state_of(layer, direction) * problem().batch + begin) * units();
  multiply<Real>(blas(lane), options().tf32, {rows_.count(at) - begin, units(), gates()},
                 {gate_gradients(layer, direction).data + (rows_.offset(at) + begin) * gates(), gates()}, false,
                 {hidden_weights(layer, direction).data, units()}, false,
                 {arena_.at(hidden_gradient_).data + first, units()}, false);
}

// The gradient of a layer's input, summed over all directions, at the rows of some steps.
template <class Real>
void BackwardPlan<Real>::input_gradient(index_t layer, Chunk steps, const DeviceSpan<Real>& to, std::size_t lane) {
  const index_t first = rows_.offset(steps.begin);
  const index_t width = problem().layer_input_size(layer);
  for (index_t d = 0; d < problem().num_directions; ++d) {
    multiply<Real>(blas(lane), options().tf32, {rows_.offset(steps.end) - first, width, gates()},
                   {gate_gradients(layer, d).data + first * gates(), gates()}, false,
                   {widths_.of(arena_.at(input_weights_), state_of(layer, d)).data, width}, false,
                   {to.data + first * width, width}, d > 0);
  }
}

#define LSTM_NATIVE_INSTANTIATE(Real)              \
  template void BackwardPlan<Real>::issue_steps(); \
  template void BackwardPlan<Real>::input_gradient(index_t, Chunk, const DeviceSpan<Real>&, std::size_t);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::cuda
