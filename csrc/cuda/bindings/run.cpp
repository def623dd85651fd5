// cuda/bindings: the calls that compute.
#include <pybind11/stl.h>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "cuda/bindings/arrays.hpp"
#include "cuda/bindings/register.hpp"
#include "cuda/calls.hpp"
#include "cuda/persistent_split.hpp"
#include "cuda/resources.hpp"
#include "plan/active_rows.hpp"

namespace lstm_native::cuda::bindings {
namespace {

// w_ih, w_hh, b_ih or None, b_hh or None
using WeightArrays = std::tuple<py::object, py::object, py::object, py::object>;
using Optional = std::optional<py::object>;

struct Shapes {
  std::vector<index_t> input, output, states;
};

// Where and how.
struct Target {
  int device;
  std::uintptr_t stream;
  bool tf32;
};

// For benchmarks and tests; each gives the same results.
std::atomic<StepLoop> step_loop{StepLoop::automatic};

void set_step_loop(const std::string& name) {
  for (const auto& [known, value] : {std::pair<const char*, StepLoop>{"automatic", StepLoop::automatic},
                                     {"launches", StepLoop::launches},
                                     {"persistent", StepLoop::persistent}}) {
    if (name != known) continue;
    step_loop = value;
    return;
  }
  throw py::value_error("step loop: expected 'automatic', 'launches' or 'persistent', got '" + name + "'");
}

// The split that a layer's steps have where they are one launch, with both estimates; None: it fits no device like
// this.
py::object persistent_split(const PersistentSizes& sizes, int device) {
  const CurrentDevice current(device);
  const DeviceLimits limits = limits_of(device);
  double clocks = 0;
  const std::optional<PersistentSplit> split = best_split(sizes, limits, clocks);
  if (!split.has_value()) return py::none();
  py::dict result;
  result["units"] = split->units;
  result["rows_per_thread"] = split->rows_per_thread;
  result["row_groups"] = split->row_groups;
  result["slices"] = split->slices;
  result["unit_blocks"] = split->unit_blocks;
  result["row_blocks"] = split->row_blocks;
  result["shared_bytes"] = split->shared_elements() * sizes.element_bytes;
  result["clocks"] = clocks;
  result["clocks_of_launches"] = clocks_of_launches(sizes, limits);
  return result;
}

plan::TapeForm form_of(bool recompute) { return recompute ? plan::TapeForm::hidden : plan::TapeForm::gates; }

Options options_of(const Array& input, index_t hidden_size, index_t num_layers, bool bidirectional,
                   const std::vector<index_t>& batch_sizes, const std::vector<index_t>& lengths, double dropout,
                   bool recompute, const Target& target) {
  const bool packed = !batch_sizes.empty();
  if (input.shape.size() != (packed ? 2 : 3)) Array::refuse("input", "unexpected number of dimensions");
  Options options;
  plan::Problem& problem = options.problem;
  problem.batch_sizes = batch_sizes;
  problem.lengths = lengths;
  problem.seq_len = packed ? static_cast<index_t>(batch_sizes.size()) : input.shape[0];
  problem.batch = packed ? batch_sizes.front() : input.shape[1];
  problem.input_size = input.shape.back();
  problem.cell_size = problem.output_size = hidden_size;
  problem.num_layers = num_layers;
  problem.num_directions = bidirectional ? 2 : 1;
  problem.dropout = dropout;
  plan::check(problem);
  options.dtype = input.element_bytes == 4 ? Dtype::float32 : Dtype::float64;
  options.device = target.device;
  options.tf32 = target.tf32;
  options.tape_form = form_of(recompute);
  options.step_loop = step_loop;
  return options;
}

Shapes shapes_of(const plan::Problem& problem) {
  Shapes shapes;
  if (problem.packed()) {
    const index_t rows = plan::ActiveRows(problem, /*steps_listed=*/false).total();
    shapes.input = {rows, problem.input_size};
    shapes.output = {rows, problem.layer_output_size()};
  } else {
    shapes.input = {problem.seq_len, problem.batch, problem.input_size};
    shapes.output = {problem.seq_len, problem.batch, problem.layer_output_size()};
  }
  shapes.states = {problem.num_layers * problem.num_directions, problem.batch, problem.cell_size};
  return shapes;
}

index_t tape_elements(const Options& options, plan::TapeForm form) {
  return plan::TapeLayout(options.problem, plan::ActiveRows(options.problem, /*steps_listed=*/false).total(), form)
      .elements();
}

void require_cells(const plan::Problem& problem, std::size_t count) {
  if (static_cast<index_t>(count) != problem.num_layers * problem.num_directions) {
    Array::refuse("weights", "one entry is needed per layer and direction");
  }
}

template <class Real>
std::vector<CellWeights<Real>> weights_of(const plan::Problem& problem, const std::vector<WeightArrays>& arrays) {
  require_cells(problem, arrays.size());
  const index_t gates = gate_count * problem.cell_size;
  std::vector<CellWeights<Real>> weights;
  for (const auto& [w_ih, w_hh, b_ih, b_hh] : arrays) {
    const index_t layer = static_cast<index_t>(weights.size()) / problem.num_directions;
    weights.push_back({matrix<const Real>(Array::of(w_ih, "w_ih"), gates, problem.layer_input_size(layer), "w_ih"),
                       matrix<const Real>(Array::of(w_hh, "w_hh"), gates, problem.cell_size, "w_hh"),
                       vector<const Real>(b_ih, gates, "b_ih"), vector<const Real>(b_hh, gates, "b_hh")});
  }
  return weights;
}

template <class Real>
std::vector<CellGradients<Real>> gradients_of(const plan::Problem& problem, const std::vector<WeightArrays>& arrays) {
  require_cells(problem, arrays.size());
  const index_t gates = gate_count * problem.cell_size;
  std::vector<CellGradients<Real>> gradients;
  for (const auto& [w_ih, w_hh, b_ih, b_hh] : arrays) {
    const index_t layer = static_cast<index_t>(gradients.size()) / problem.num_directions;
    const Array input = Array::of(w_ih, "d_w_ih");
    const Array hidden = Array::of(w_hh, "d_w_hh");
    require_dense(input, "d_w_ih");
    require_dense(hidden, "d_w_hh");
    for (const py::object& bias : {b_ih, b_hh}) {
      if (!bias.is_none()) require_dense(Array::of(bias, "d_bias"), "d_bias");
    }
    gradients.push_back({matrix<Real>(input, gates, problem.layer_input_size(layer), "d_w_ih"),
                         matrix<Real>(hidden, gates, problem.cell_size, "d_w_hh"), vector<Real>(b_ih, gates, "d_b_ih"),
                         vector<Real>(b_hh, gates, "d_b_hh")});
  }
  return gradients;
}

template <class Real>
Real* tape_of(const py::object& object, index_t elements, const char* name) {
  const Array array = Array::of(object, name);
  if (!array.without_gaps()) Array::refuse(name, "must be contiguous");
  return array.require<Real>({elements}, name);
}

struct ForwardArrays {
  py::object input, hidden_initial, cell_initial;
  std::vector<WeightArrays> weights;
  py::object output, hidden_final, cell_final;
  Optional tape;
};

template <class Real>
void run_forward(Options options, const ForwardArrays& arrays, const rng::DropoutStream& dropout, cudaStream_t stream) {
  const Shapes shapes = shapes_of(options.problem);
  ForwardCall<Real> call{};
  call.input = sequence<const Real>(Array::of(arrays.input, "input"), shapes.input, "input");
  call.hidden_initial = state<const Real>(Array::of(arrays.hidden_initial, "h_0"), shapes.states, "h_0");
  call.cell_initial = state<const Real>(Array::of(arrays.cell_initial, "c_0"), shapes.states, "c_0");
  call.weights = weights_of<Real>(options.problem, arrays.weights);
  call.output = sequence<Real>(Array::of(arrays.output, "output"), shapes.output, "output");
  call.hidden_final = state<Real>(Array::of(arrays.hidden_final, "h_n"), shapes.states, "h_n");
  call.cell_final = state<Real>(Array::of(arrays.cell_final, "c_n"), shapes.states, "c_n");
  call.dropout = dropout;
  options.has_tape = arrays.tape.has_value();
  const index_t elements = tape_elements(options, options.tape_form);
  if (options.has_tape) call.tape = tape_of<Real>(*arrays.tape, elements, "reserve");
  const py::gil_scoped_release release;
  cuda::forward<Real>(options, call, stream);
}

void forward(const py::object& input, const py::object& hidden_initial, const py::object& cell_initial,
             const std::vector<WeightArrays>& weights, const py::object& output, const py::object& hidden_final,
             const py::object& cell_final, bool bidirectional, const std::vector<index_t>& batch_sizes,
             const std::vector<index_t>& lengths, double dropout, std::uint64_t dropout_key,
             std::uint64_t dropout_counter, const Optional& tape, bool recompute, int device, std::uintptr_t stream,
             bool tf32) {
  const Array x = Array::of(input, "input");
  const Array h = Array::of(hidden_initial, "h_0");
  if (h.shape.size() != 3) Array::refuse("h_0", "unexpected number of dimensions");
  const index_t layers = static_cast<index_t>(weights.size()) / (bidirectional ? 2 : 1);
  const Options options = options_of(x, h.shape[2], layers, bidirectional, batch_sizes, lengths, dropout, recompute,
                                     {device, stream, tf32});
  const ForwardArrays arrays{input, hidden_initial, cell_initial, weights, output, hidden_final, cell_final, tape};
  const rng::DropoutStream masks{dropout, dropout_key, dropout_counter};
  auto* const callers_stream = reinterpret_cast<cudaStream_t>(stream);
  options.dtype == Dtype::float32 ? run_forward<float>(options, arrays, masks, callers_stream)
                                  : run_forward<double>(options, arrays, masks, callers_stream);
}

struct BackwardArrays {
  py::object input, hidden_initial, cell_initial;
  std::vector<WeightArrays> weights;  // none where the steps have been done
  py::object tape;
  Optional output_gradient, hidden_final_gradient, cell_final_gradient;
  Optional input_gradient, hidden_gradient, cell_gradient;
  std::optional<std::vector<WeightArrays>> weight_gradients;
  Optional workspace;
};

template <class Real>
void run_backward(Options options, const BackwardArrays& arrays, bool accumulate, bool has_steps,
                  const rng::DropoutStream& dropout, cudaStream_t stream) {
  const Shapes shapes = shapes_of(options.problem);
  BackwardCall<Real> call{};
  const auto states = [&](const Optional& object, const char* name) -> StateView<Real> {
    if (!object.has_value()) return {};
    return state<Real>(Array::of(*object, name), shapes.states, name);
  };
  const auto given_states = [&](const Optional& object, const char* name) -> StateView<const Real> {
    const StateView<Real> view = states(object, name);
    return {view.data, view.layer_stride, view.row_stride, view.unit_stride};
  };
  options.pass = Pass::backward;
  options.runs_steps = !has_steps;
  options.has_output_gradient = arrays.output_gradient.has_value();
  options.wants_input = arrays.input_gradient.has_value();
  options.wants_states = arrays.hidden_gradient.has_value();
  options.wants_weights = arrays.weight_gradients.has_value();
  options.keeps_workspace = !has_steps && arrays.workspace.has_value();
  if (options.wants_states != arrays.cell_gradient.has_value()) Array::refuse("d_h_0, d_c_0", "both or none");
  call.input = sequence<const Real>(Array::of(arrays.input, "input"), shapes.input, "input");
  call.tape = tape_of<Real>(arrays.tape, tape_elements(options, options.tape_form), "reserve");
  call.accumulate = accumulate;
  call.dropout = dropout;
  if (arrays.workspace.has_value()) {
    call.workspace = tape_of<Real>(*arrays.workspace, tape_elements(options, plan::TapeForm::gates), "workspace");
  } else if (has_steps) {
    Array::refuse("workspace", "needed");
  }
  if (options.wants_weights) call.weight_gradients = gradients_of<Real>(options.problem, *arrays.weight_gradients);
  if (!has_steps) {
    call.hidden_initial = given_states(arrays.hidden_initial, "h_0");
    call.cell_initial = given_states(arrays.cell_initial, "c_0");
    call.weights = weights_of<Real>(options.problem, arrays.weights);
    if (options.has_output_gradient) {
      call.output_gradient =
          sequence<const Real>(Array::of(*arrays.output_gradient, "d_output"), shapes.output, "d_output");
    }
    call.hidden_final_gradient = given_states(arrays.hidden_final_gradient, "d_h_n");
    call.cell_final_gradient = given_states(arrays.cell_final_gradient, "d_c_n");
    if (options.wants_input) {
      call.input_gradient = sequence<Real>(Array::of(*arrays.input_gradient, "d_input"), shapes.input, "d_input");
    }
    call.hidden_gradient = states(arrays.hidden_gradient, "d_h_0");
    call.cell_gradient = states(arrays.cell_gradient, "d_c_0");
  }
  const py::gil_scoped_release release;
  cuda::backward<Real>(options, call, stream);
}

void backward(const py::object& input, const py::object& hidden_initial, const py::object& cell_initial,
              const std::vector<WeightArrays>& weights, const py::object& tape, const Optional& output_gradient,
              const Optional& hidden_final_gradient, const Optional& cell_final_gradient,
              const Optional& input_gradient, const Optional& hidden_gradient, const Optional& cell_gradient,
              const std::optional<std::vector<WeightArrays>>& weight_gradients, const Optional& workspace,
              index_t hidden_size, index_t num_layers, bool bidirectional, const std::vector<index_t>& batch_sizes,
              const std::vector<index_t>& lengths, double dropout, std::uint64_t dropout_key,
              std::uint64_t dropout_counter, bool accumulate, bool has_steps, bool recompute, int device,
              std::uintptr_t stream, bool tf32) {
  const Options options = options_of(Array::of(input, "input"), hidden_size, num_layers, bidirectional, batch_sizes,
                                     lengths, dropout, recompute, {device, stream, tf32});
  const BackwardArrays arrays{input,          hidden_initial,  cell_initial,          weights,
                              tape,           output_gradient, hidden_final_gradient, cell_final_gradient,
                              input_gradient, hidden_gradient, cell_gradient,         weight_gradients,
                              workspace};
  const rng::DropoutStream masks{dropout, dropout_key, dropout_counter};
  auto* const callers_stream = reinterpret_cast<cudaStream_t>(stream);
  options.dtype == Dtype::float32 ? run_backward<float>(options, arrays, accumulate, has_steps, masks, callers_stream)
                                  : run_backward<double>(options, arrays, accumulate, has_steps, masks, callers_stream);
}

}  // namespace

void register_run(py::module_& module) {
  using namespace py::literals;
  module.def(
      "persistent_split",
      [](int device, const py::kwargs& named) {
        const auto size = [&](const char* name) { return named[name].cast<index_t>(); };
        const auto flag = [&](const char* name) { return named[name].cast<bool>(); };
        return persistent_split(
            {size("steps"), size("batch"), size("units"), size("directions"), static_cast<int>(size("element_bytes")),
             flag("backward"), flag("tf32"), flag("overlaps")},
            device);
      },
      "device"_a,
      "How a layer's steps are split over blocks where they are one launch, and the estimates that decide whether.");
  module.def("set_step_loop", &set_step_loop, "name"_a,
             "How the steps of calls from now on run: 'automatic', 'launches' or 'persistent' where that fits.");
  module.def(
      "forward", &forward, "input"_a, "hidden_initial"_a, "cell_initial"_a, "weights"_a, "output"_a, "hidden_final"_a,
      "cell_final"_a, py::kw_only(), "bidirectional"_a, "batch_sizes"_a, "lengths"_a, "dropout"_a, "dropout_key"_a,
      "dropout_counter"_a, "tape"_a, "recompute"_a, "device"_a, "stream"_a, "tf32"_a,
      "Runs a whole stack into the given device arrays. input is time-major; packed where batch_sizes is not empty.");
  module.def("backward", &backward, "input"_a, "hidden_initial"_a, "cell_initial"_a, "weights"_a, "tape"_a,
             "output_gradient"_a, "hidden_final_gradient"_a, "cell_final_gradient"_a, "input_gradient"_a,
             "hidden_gradient"_a, "cell_gradient"_a, "weight_gradients"_a, "workspace"_a, py::kw_only(),
             "hidden_size"_a, "num_layers"_a, "bidirectional"_a, "batch_sizes"_a, "lengths"_a, "dropout"_a,
             "dropout_key"_a, "dropout_counter"_a, "accumulate"_a, "has_steps"_a, "recompute"_a, "device"_a, "stream"_a,
             "tf32"_a, "Computes the gradients that have an array to go to, from a tape that forward() filled.");
}

}  // namespace lstm_native::cuda::bindings
