#include <algorithm>
#include <cstring>

#include "cuda/forward.hpp"
#include "cuda/persistent.hpp"
#include "cuda/plan_cache.hpp"
#include "cuda/tape.cuh"

namespace lstm_native::cuda {

template <class Real>
ForwardPlan<Real>::ForwardPlan(const Options& options)
    : DevicePlan(options), tape_(problem(), rows_.total(), options.tape_form), widths_(problem()) {
  const plan::Problem& p = problem();
  const index_t rows = rows_.total();
  input_ = arena_.reserve<Real>({rows, p.input_size});
  input_weights_ = arena_.reserve<Real>({widths_.total()});
  hidden_weights_ = arena_.reserve<Real>({states(), gates(), units()});
  bias_ = arena_.reserve<Real>({states(), gates()});
  hidden_ = arena_.reserve<Real>({states(), p.batch, units()});
  cell_ = arena_.reserve<Real>({states(), p.batch, units()});
  if (split_.has_value()) {
    hidden_final_ = arena_.reserve<Real>({states(), p.batch, units()});
    exchange_ = arena_.reserve<Real>({p.num_directions, 2, p.batch, units()});
  }
  first_projection_ = arena_.reserve<Real>({p.num_directions, rows, gates()});
  if (p.num_layers > 1) {
    projection_ =
        arena_.reserve<Real>({wavefront() ? p.num_layers - 1 : 1, p.num_directions, rows_of_chunk(), gates()});
  }
  for (index_t k = 0; k < std::min<index_t>(p.num_layers, 2); ++k) {
    outputs_[k] = arena_.reserve<Real>({rows, p.layer_output_size()});
  }
  allocate();
}

template <class Real>
void ForwardPlan<Real>::run(const ForwardCall<Real>& call, cudaStream_t stream) {
  begin(stream, call.tape, call.dropout);
  if (call.tape != nullptr) write_header(call);
  import_arrays(call);
  project(0, {0, problem().seq_len}, 0);
  run_steps([&] { issue_steps(); });
  Copies<Real> copies(stream);
  copy<false>(copies, call.hidden_final, arena_.at(split_.has_value() ? hidden_final_ : hidden_));
  copy<false>(copies, call.cell_final, arena_.at(cell_));
  copy<false>(copies, call.output, arena_.at(outputs_[(problem().num_layers - 1) % 2]), problem().layer_output_size());
  copies.issue();
  end();
}

template <class Real>
void ForwardPlan<Real>::write_header(const ForwardCall<Real>& call) {
  const plan::TapeHeader header = plan::header_of(problem(), dtype_of<Real>, rows_.total(), options().tape_form,
                                                  call.dropout.key, call.dropout.counter);
  HeaderWords words{};
  static_assert(sizeof words == sizeof header);
  std::memcpy(&words, &header, sizeof header);
  const index_t count = plan::tape_header_elements * static_cast<index_t>(sizeof(Real) / sizeof(std::uint32_t));
  const DeviceSpan<std::uint32_t> to{reinterpret_cast<std::uint32_t*>(call.tape), count};
  launch(stream(0), count, 1, 1, write_header_words, words, to);
}

// Copies everything that a graph reads to the addresses that it has captured. Each call's arrays are elsewhere.
template <class Real>
void ForwardPlan<Real>::import_arrays(const ForwardCall<Real>& call) {
  Copies<Real> copies(stream(0));
  copy<true>(copies, call.hidden_initial, arena_.at(hidden_));
  copy<true>(copies, call.cell_initial, arena_.at(cell_));
  copy<true>(copies, call.input, arena_.at(input_), problem().input_size);
  for (index_t state = 0; state < states(); ++state) {
    const CellWeights<Real>& cell = call.weights[static_cast<std::size_t>(state)];
    add_matrix(copies, cell.input, widths_.of(arena_.at(input_weights_), state));
    add_matrix(copies, cell.hidden, arena_.at(hidden_weights_, state * gates() * units(), gates() * units()));
    add_biases(copies, cell.input_bias, cell.hidden_bias, arena_.at(bias_, state * gates(), gates()));
  }
  copies.issue();
}

// The pre-activations of the rows that are projected together; first_row is the first of them.
template <class Real>
typename ForwardPlan<Real>::Projection ForwardPlan<Real>::projection_of(index_t layer, Chunk steps) const {
  if (layer == 0) return {arena_.at(first_projection_), 0, rows_.total() * gates()};
  const index_t of_direction = rows_of_chunk() * gates();
  const index_t size = problem().num_directions * of_direction;
  const index_t buffer = wavefront() ? layer - 1 : 0;
  return {arena_.at(projection_, buffer * size, size), rows_.offset(steps.begin), of_direction};
}

// Computes the input's part of the pre-activations, for all directions. steps: in the sequence's order.
template <class Real>
void ForwardPlan<Real>::project(index_t layer, Chunk steps, std::size_t lane) {
  const plan::Problem& p = problem();
  const Projection to = projection_of(layer, steps);
  const index_t width = p.layer_input_size(layer);
  const index_t first = rows_.offset(steps.begin);
  const DeviceSpan<Real> input = arena_.at(layer == 0 ? input_ : outputs_[(layer - 1) % 2]);
  multiply<Real>(blas(lane), options().tf32, {rows_.offset(steps.end) - first, gates(), width, p.num_directions},
                 {input.data + first * width, width}, false,
                 {widths_.of(arena_.at(input_weights_), state_of(layer, 0)).data, width, gates() * width}, true,
                 {to.memory.data + (first - to.first_row) * gates(), gates(), to.of_direction}, false);
}

template <class Real>
void ForwardPlan<Real>::issue_steps() {
  if (wavefront()) {
    issue_wavefront();
    return;
  }
  const Chunk all{0, problem().seq_len};
  for (index_t layer = 0; layer < problem().num_layers; ++layer) {
    if (layer > 0) project(layer, all, 0);
    if (split_.has_value()) {
      run_layer(layer);
      continue;
    }
    fork();
    for (const Strand& strand : strands()) run_strand(layer, strand, all);
    join();
  }
}

// A wave is one chunk of each layer that has begun. The upper layers go first, so that a layer waits for the chunk that
// the layer below ended in the wave before, not for the chunk of this wave.
template <class Real>
void ForwardPlan<Real>::issue_wavefront() {
  const std::vector<Chunk> parts = chunks();
  const auto count = static_cast<index_t>(parts.size());
  const index_t layers = problem().num_layers;
  for (index_t wave = 0; wave < count + layers - 1; ++wave) {
    for (index_t layer = std::min(wave, layers - 1); layer >= std::max<index_t>(0, wave - count + 1); --layer) {
      const Chunk steps = parts[static_cast<std::size_t>(wave - layer)];
      const std::size_t lane = lane_of(layer);
      if (layer > 0) {
        wait_for_chunk(layer - 1, lane);
        project(layer, steps, lane);
      }
      run_strand(layer, {0, 1, lane}, steps);
      end_chunk(layer, lane);
    }
  }
  hand_over(lane_of(layers - 1), 0);  // the last layer's lane has waited for all others
}

// steps: in the order of the directions' time.
template <class Real>
void ForwardPlan<Real>::run_strand(index_t layer, const Strand& strand, Chunk steps) {
  const Projection projection = projection_of(layer, steps);
  for (index_t k = steps.begin; k < steps.end; ++k) step(layer, strand, projection, k);
}

template <class Real>
ForwardStep<Real> ForwardPlan<Real>::step_of_layer(index_t layer) const {
  ForwardStep<Real> step{};
  step.output = arena_.at(outputs_[layer % 2]);
  step.call = call_;
  step.units = units();
  step.output_width = problem().layer_output_size();
  step.tape_elements = tape_.elements();
  step.dropout = dropout_of(layer);
  return step;
}

template <class Real>
ForwardDirection<Real> ForwardPlan<Real>::direction_of_layer(index_t layer, index_t d) const {
  const index_t state_size = problem().batch * units();
  const index_t state = state_of(layer, d);
  ForwardDirection<Real> direction{};
  direction.bias = arena_.at(bias_, state * gates(), gates());
  direction.hidden = arena_.at(hidden_, state * state_size, state_size);
  direction.cell = arena_.at(cell_, state * state_size, state_size);
  direction.first_feature = d * units();
  direction.gates_on_tape = direction.hidden_on_tape = direction.cells_on_tape = -1;
  if (options().has_tape) {
    const bool keeps_gates = options().tape_form == plan::TapeForm::gates;
    (keeps_gates ? direction.gates_on_tape : direction.hidden_on_tape) = tape_.gates(layer, d);
    direction.cells_on_tape = tape_.cells(layer, d);
  }
  return direction;
}

template <class Real>
void ForwardPlan<Real>::step(index_t layer, const Strand& strand, const Projection& projection, index_t k) {
  ForwardStep<Real> arguments = step_of_layer(layer);
  for (index_t n = 0; n < strand.directions; ++n) {
    const index_t d = strand.first_direction + n;
    const index_t at = step_of(d, k);
    const index_t row = rows_.offset(at);
    ForwardDirection<Real>& direction = arguments.directions[n];
    direction = direction_of_layer(layer, d);
    direction.active = rows_.count(at);
    direction.stored_row = row;
    direction.pre_activations = {
        projection.memory.data + d * projection.of_direction + (row - projection.first_row) * gates(),
        direction.active * gates()};
  }

  const ForwardDirection<Real>& first = arguments.directions[0];
  const index_t state = state_of(layer, strand.first_direction);
  const index_t apart =
      strand.directions == 2 ? arguments.directions[1].pre_activations.data - first.pre_activations.data : 0;
  multiply<Real>(blas(strand.lane), options().tf32, {first.active, gates(), units(), strand.directions},
                 {first.hidden.data, units(), problem().batch * units()}, false,
                 {arena_.at(hidden_weights_, state * gates() * units(), 0).data, units(), gates() * units()}, true,
                 {first.pre_activations.data, gates(), apart}, true);
  launch(stream(strand.lane), first.active * units(), 1, strand.directions, gates_forward<Real>, arguments);
}

// All steps of both directions in one launch.
template <class Real>
void ForwardPlan<Real>::run_layer(index_t layer) {
  const Projection projection = projection_of(layer, {0, problem().seq_len});
  const index_t state_size = problem().batch * units();
  ForwardLayer<Real> arguments{};
  arguments.step = step_of_layer(layer);
  arguments.rows = device_rows_;
  arguments.batch = problem().batch;
  arguments.split = *split_;
  for (index_t d = 0; d < problem().num_directions; ++d) {
    const index_t state = state_of(layer, d);
    ForwardDirection<Real>& direction = arguments.step.directions[d];
    direction = direction_of_layer(layer, d);
    direction.pre_activations = {projection.memory.data + d * projection.of_direction, rows_.total() * gates()};
    arguments.directions[d] = {arena_.at(hidden_weights_, state * gates() * units(), gates() * units()),
                               arena_.at(hidden_final_, state * state_size, state_size),
                               arena_.at(exchange_, d * 2 * state_size, 2 * state_size), arrivals_of(state)};
  }
  launch_layer(stream(0), arguments, problem().num_directions);
}

template <class Real>
void forward(const Options& options, const ForwardCall<Real>& call, cudaStream_t stream) {
  run_planned<ForwardPlan<Real>>(options, call, stream);
}

template void forward<float>(const Options&, const ForwardCall<float>&, cudaStream_t);
template void forward<double>(const Options&, const ForwardCall<double>&, cudaStream_t);

}  // namespace lstm_native::cuda
