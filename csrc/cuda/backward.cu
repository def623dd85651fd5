#include <algorithm>

#include "cuda/backward.hpp"
#include "cuda/plan_cache.hpp"

namespace lstm_native::cuda {
namespace {

// result (left's columns, right's columns) = left^T right, or += if accumulate: sums of products over `rows` rows.
template <class Real>
void multiply_over_rows(const Blas& blas, bool tf32, index_t rows, const Real* left, const Real* right,
                        const MatrixView<Real>& result, bool accumulate, cudaStream_t stream) {
  if (rows == 0) {
    const auto bytes = static_cast<std::size_t>(result.rows * result.columns) * sizeof(Real);
    if (!accumulate) check(cudaMemsetAsync(result.data, 0, bytes, stream), "cudaMemsetAsync");
    return;
  }
  if (result.column_stride == 1 || result.columns == 1) {
    multiply<Real>(blas, tf32, {result.rows, result.columns, rows}, {left, result.rows}, true, {right, result.columns},
                   false, {result.data, result.columns}, accumulate);
  } else {
    multiply<Real>(blas, tf32, {result.columns, result.rows, rows}, {right, result.columns}, true, {left, result.rows},
                   false, {result.data, result.rows}, accumulate);
  }
}

}  // namespace

template <class Real>
BackwardPlan<Real>::BackwardPlan(const Options& options)
    : DevicePlan(options),
      tape_(problem(), rows_.total(), options.tape_form),
      gradients_layout_(problem(), rows_.total(), plan::TapeForm::gates),
      widths_(problem()) {
  const plan::Problem& p = problem();
  const index_t rows = rows_.total();
  if (needs_layer_inputs()) {
    input_ = arena_.reserve<Real>({rows, p.input_size});
    layer_inputs_ = arena_.reserve<Real>({p.num_layers - 1, rows, p.layer_output_size()});
  }
  if (options.wants_weights) ones_ = arena_.reserve<Real>({rows});
  if (options.runs_steps) {
    input_weights_ = arena_.reserve<Real>({widths_.total()});
    hidden_weights_ = arena_.reserve<Real>({states(), gates(), units()});
    hidden_initial_ = arena_.reserve<Real>({states(), p.batch, units()});
    cell_initial_ = arena_.reserve<Real>({states(), p.batch, units()});
    hidden_gradient_ = arena_.reserve<Real>({states(), p.batch, units()});
    cell_gradient_ = arena_.reserve<Real>({states(), p.batch, units()});
    gradients_ = arena_.reserve<Real>({gradients_layout_.elements()});
    for (index_t k = 0; k < std::min<index_t>(p.num_layers, 2); ++k) {
      output_gradients_[k] = arena_.reserve<Real>({rows, p.layer_output_size()});
    }
    if (options.wants_input) input_gradient_ = arena_.reserve<Real>({rows, p.input_size});
  }
  if (recomputes()) {
    bias_ = arena_.reserve<Real>({states(), gates()});
    restored_ = arena_.reserve<Real>({gradients_layout_.elements()});
  }
  allocate();
}

template <class Real>
void BackwardPlan<Real>::run(const BackwardCall<Real>& call, cudaStream_t stream) {
  begin(stream, recomputes() ? arena_.at(restored_).data : call.tape, call.dropout);
  import_arrays(call);
  if (needs_layer_inputs()) store_layer_inputs(call);
  const Real* gradients = call.workspace;
  if (options().runs_steps) {
    if (needs_previous_hidden()) store_previous_hidden(call);
    if (recomputes()) compute_gates_again(call);
    run_steps([&] { issue_steps(); });
    export_arrays(call);
    gradients = arena_.at(gradients_).data;
  }
  if (options().wants_weights) weight_gradients(call, gradients);
  end();
}

template <class Real>
TapePart<Real> BackwardPlan<Real>::part_of(const BackwardCall<Real>& call, index_t layer, index_t direction) const {
  // A backward pass only reads it.
  const DeviceSpan<Real> tape{const_cast<Real*>(call.tape), tape_.elements()};
  return {tape, tape_.gates(layer, direction), tape_.cells(layer, direction),
          options().tape_form == plan::TapeForm::gates, units()};
}

template <class Real>
void BackwardPlan<Real>::import_arrays(const BackwardCall<Real>& call) {
  const plan::Problem& p = problem();
  Copies<Real> copies(stream(0));
  if (needs_layer_inputs()) copy<true>(copies, call.input, arena_.at(input_), p.input_size);
  if (options().runs_steps) {
    for (index_t state = 0; state < states(); ++state) {
      const CellWeights<Real>& cell = call.weights[static_cast<std::size_t>(state)];
      add_matrix(copies, cell.input, widths_.of(arena_.at(input_weights_), state));
      add_matrix(copies, cell.hidden, arena_.at(hidden_weights_, state * gates() * units(), gates() * units()));
      if (recomputes()) {
        add_biases(copies, cell.input_bias, cell.hidden_bias, arena_.at(bias_, state * gates(), gates()));
      }
    }
    copy<true>(copies, call.hidden_initial, arena_.at(hidden_initial_));
    copy<true>(copies, call.cell_initial, arena_.at(cell_initial_));
    copy<true>(copies, call.hidden_final_gradient, arena_.at(hidden_gradient_));
    copy<true>(copies, call.cell_final_gradient, arena_.at(cell_gradient_));
    if (options().has_output_gradient) {
      copy<true>(copies, call.output_gradient, arena_.at(output_gradients_[(p.num_layers - 1) % 2]),
                 p.layer_output_size());
    }
  }
  copies.issue();
}

// Stores the inputs of the layers above the first.
template <class Real>
void BackwardPlan<Real>::store_layer_inputs(const BackwardCall<Real>& call) {
  const plan::Problem& p = problem();
  for (index_t layer = 0; layer + 1 < p.num_layers; ++layer) {
    for (index_t d = 0; d < p.num_directions; ++d) {
      launch(stream(0), units(), rows_.total(), 1, layer_outputs<Real>, part_of(call, layer, d), layer_input(layer + 1),
             rows_.total(), p.layer_output_size(), d * units(), call_, dropout_of(layer));
    }
  }
}

template <class Real>
void BackwardPlan<Real>::store_previous_hidden(const BackwardCall<Real>& call) {
  const plan::Problem& p = problem();
  const index_t size = p.batch * units();
  for (index_t layer = 0; layer < p.num_layers; ++layer) {
    for (index_t d = 0; d < p.num_directions; ++d) {
      launch(stream(0), size, p.seq_len, 1, previous_hidden<Real>, part_of(call, layer, d), d == 1,
             arena_.at(hidden_initial_, state_of(layer, d) * size, size), previous_hidden_of(layer, d), device_rows_);
    }
  }
}

// All states are known, so products and gates are computed for all steps at once.
template <class Real>
void BackwardPlan<Real>::compute_gates_again(const BackwardCall<Real>& call) {
  const index_t rows = rows_.total();
  for (index_t layer = 0; layer < problem().num_layers; ++layer) {
    const index_t width = problem().layer_input_size(layer);
    for (index_t d = 0; d < problem().num_directions; ++d) {
      const index_t state = state_of(layer, d);
      const DeviceSpan<Real> gate_values = arena_.at(restored_, gradients_layout_.gates(layer, d), rows * gates());
      multiply<Real>(blas(0), options().tf32, {rows, gates(), width}, {layer_input(layer).data, width}, false,
                     {widths_.of(arena_.at(input_weights_), state).data, width}, true, {gate_values.data, gates()},
                     false);
      multiply<Real>(blas(0), options().tf32, {rows, gates(), units()}, {previous_hidden_of(layer, d).data, units()},
                     false, {hidden_weights(layer, d).data, units()}, true, {gate_values.data, gates()}, true);
      launch(stream(0), units(), rows, 1, restore_gates<Real>, part_of(call, layer, d), gate_values,
             arena_.at(restored_, gradients_layout_.cells(layer, d), rows * units()),
             arena_.at(bias_, state * gates(), gates()), rows);
    }
  }
}

template <class Real>
void BackwardPlan<Real>::export_arrays(const BackwardCall<Real>& call) {
  const plan::Problem& p = problem();
  Copies<Real> copies(stream(0));
  if (options().wants_input) {
    const DeviceSpan<Real> gradient = arena_.at(input_gradient_);
    input_gradient(0, {0, p.seq_len}, gradient, 0);
    copy<false>(copies, call.input_gradient, gradient, p.input_size);
  }
  if (options().wants_states) {
    copy<false>(copies, call.hidden_gradient, arena_.at(hidden_gradient_));
    copy<false>(copies, call.cell_gradient, arena_.at(cell_gradient_));
  }
  copies.issue();
  if (!options().keeps_workspace) return;
  const auto header = static_cast<std::size_t>(plan::tape_header_elements);
  const auto rest = static_cast<std::size_t>(gradients_layout_.elements()) - header;
  check(cudaMemcpyAsync(call.workspace, call.tape, header * sizeof(Real), cudaMemcpyDeviceToDevice, stream(0)),
        "cudaMemcpyAsync");
  check(cudaMemcpyAsync(call.workspace + header, arena_.at(gradients_).data + header, rest * sizeof(Real),
                        cudaMemcpyDeviceToDevice, stream(0)),
        "cudaMemcpyAsync");
  // Sets the low byte of the form; its other bytes are zero.
  auto* const form = reinterpret_cast<std::byte*>(call.workspace) + offsetof(plan::TapeHeader, form);
  check(cudaMemsetAsync(form, static_cast<int>(plan::TapeForm::gradients), 1, stream(0)), "cudaMemsetAsync");
}

template <class Real>
void BackwardPlan<Real>::weight_gradients(const BackwardCall<Real>& call, const Real* gradients) {
  const index_t rows = rows_.total();
  launch(stream(0), rows, 1, 1, fill<Real>, arena_.at(ones_), Real{1});
  for (index_t layer = 0; layer < problem().num_layers; ++layer) {
    for (index_t d = 0; d < problem().num_directions; ++d) {
      const CellGradients<Real>& to = call.weight_gradients[static_cast<std::size_t>(state_of(layer, d))];
      const Real* of_gates = gradients + gradients_layout_.gates(layer, d);
      const Real* before = gradients + gradients_layout_.cells(layer, d);
      const auto over_rows = [&](const Real* right, const MatrixView<Real>& result) {
        multiply_over_rows<Real>(blas(0), options().tf32, rows, of_gates, right, result, call.accumulate, stream(0));
      };
      over_rows(layer_input(layer).data, to.input);
      over_rows(before, to.hidden);
      const auto sum_of_rows = [&](const VectorView<Real>& bias) {
        if (bias.data != nullptr) over_rows(arena_.at(ones_).data, {bias.data, gates(), 1, 1, 1});
      };
      sum_of_rows(to.input_bias);
      sum_of_rows(to.hidden_bias);
    }
  }
}

template <class Real>
void backward(const Options& options, const BackwardCall<Real>& call, cudaStream_t stream) {
  run_planned<BackwardPlan<Real>>(options, call, stream);
}

template void backward<float>(const Options&, const BackwardCall<float>&, cudaStream_t);
template void backward<double>(const Options&, const BackwardCall<double>&, cudaStream_t);

}  // namespace lstm_native::cuda
