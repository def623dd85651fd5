// cuda/bindings: the calls that compute.
#include <pybind11/stl.h>

#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/description.hpp"
#include "cuda/bindings/arrays.hpp"
#include "cuda/bindings/register.hpp"
#include "cuda/calls.hpp"
#include "cuda/persistent_split.hpp"
#include "cuda/resources.hpp"
#include "plan/active_rows.hpp"

namespace lstm_native::cuda::bindings {
namespace {

using lstm_native::bindings::CellArrays;
using lstm_native::bindings::cells_of;
using lstm_native::bindings::Description;
using lstm_native::bindings::description_of;
using lstm_native::bindings::Field;
using lstm_native::bindings::tape_form_of;

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

// The split of a layer's steps in one launch, with both estimates; None: no split fits the device.
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

// A `_run.ForwardCall` with its arrays on the device.
struct Call {
  Options options;
  rng::DropoutStream dropout;
  bool batch_first;
  py::object input, hidden_initial, cell_initial;
  std::vector<CellArrays> weights;
  cudaStream_t stream;
};

Call call_of(py::handle call) {
  static const Field problem("problem"), input("input"), h_0("h_0"), c_0("c_0"), weights("weights"),
      batch_first("batch_first"), target("target"), device("device"), stream("stream"), tf32("tf32");
  Description about = description_of(problem.of(call));
  about.problem.threads = 1;  // has no effect here, so plans must not differ by it
  about.problem.forced_split = {0, 0, 0};
  plan::check(about.problem);
  for (const CellSpec& cell : about.problem.cells) {
    if (cell.kind != CellKind::standard) throw std::invalid_argument("cell: only the standard one is there");
  }
  if (about.problem.reverse) throw std::invalid_argument("direction: only forward, or both, are there");
  if (about.problem.recurrent_dropout > 0.0) throw std::invalid_argument("recurrent_dropout: is not there");
  if (about.problem.projects()) throw std::invalid_argument("proj_size: there is no projection");
  const py::object where = target.of(call);
  const std::optional<plan::TapeForm> tape = tape_form_of(call);
  Options options;
  options.problem = std::move(about.problem);
  options.device = device.of<int>(where);
  options.tf32 = tf32.of<bool>(where);
  options.has_tape = tape.has_value();
  options.tape_form = tape.value_or(plan::TapeForm::gates);
  options.step_loop = step_loop;
  py::object x = input.of(call);
  options.dtype = Array::of(x, "input").element_bytes == 4 ? Dtype::float32 : Dtype::float64;
  return {std::move(options),
          about.dropout,
          batch_first.of<bool>(call),
          std::move(x),
          h_0.of(call),
          c_0.of(call),
          cells_of(weights.of(call)),
          reinterpret_cast<cudaStream_t>(stream.of<std::uintptr_t>(where))};
}

// Views of a call's arrays, which have the shapes that its problem says.
template <class Real>
class Views {
 public:
  explicit Views(const Call& call) : call_(call), problem_(call.options.problem) {}

  template <class Element = const Real>
  SequenceView<Element> sequence(py::handle object, index_t width, const char* name) const {
    const Array array = Array::of(object, name);
    if (problem_.packed()) return bindings::sequence<Element>(array, {rows(), width}, name);
    if (!call_.batch_first) return bindings::sequence<Element>(array, {problem_.seq_len, problem_.batch, width}, name);
    SequenceView<Element> view = bindings::sequence<Element>(array, {problem_.batch, problem_.seq_len, width}, name);
    std::swap(view.time_stride, view.row_stride);
    return view;
  }
  template <class Element = const Real>
  StateView<Element> states(py::handle object, const char* name) const {
    if (object.is_none()) return {};
    return state<Element>(Array::of(object, name), {problem_.states(), problem_.batch, problem_.cell_size}, name);
  }
  Real* tape(py::handle object, plan::TapeForm form, const char* name) const {
    const Array array = Array::of(object, name);
    if (!array.without_gaps()) Array::refuse(name, "must be contiguous");
    return array.require<Real>({plan::TapeLayout(problem_, rows(), form).elements(), 1}, name);
  }
  template <class Cell, class Element>
  std::vector<Cell> cells(const std::vector<CellArrays>& arrays) const {
    if (static_cast<index_t>(arrays.size()) != problem_.states()) {
      Array::refuse("weights", "one entry is needed per layer and direction");
    }
    const index_t gates = gate_count * problem_.cell_size;
    std::vector<Cell> cells;
    for (const CellArrays& from : arrays) {
      const index_t columns = problem_.layer_input_size(static_cast<index_t>(cells.size()) / problem_.num_directions);
      cells.push_back({matrix<Element>(Array::of(from.input, "w_ih"), gates, columns, "w_ih"),
                       matrix<Element>(Array::of(from.hidden, "w_hh"), gates, problem_.output_size, "w_hh"),
                       vector<Element>(from.input_bias, gates, "b_ih"),
                       vector<Element>(from.hidden_bias, gates, "b_hh")});
    }
    return cells;
  }
  std::vector<CellWeights<Real>> weights() const { return cells<CellWeights<Real>, const Real>(call_.weights); }
  // Views of the arrays that get the gradients of the weights. They must have no gaps.
  std::vector<CellGradients<Real>> gradients(py::handle listed) const {
    const std::vector<CellArrays> arrays = cells_of(listed);
    for (const CellArrays& cell : arrays) {
      for (const py::object& object : {cell.input, cell.hidden, cell.input_bias, cell.hidden_bias}) {
        if (!object.is_none()) require_dense(Array::of(object, "d_weights"), "d_weights");
      }
    }
    return cells<CellGradients<Real>, Real>(arrays);
  }

 private:
  index_t rows() const { return plan::ActiveRows(problem_, /*steps_listed=*/false).total(); }

  const Call& call_;
  const plan::Problem& problem_;
};

template <class Real>
void run_forward(const Call& from, const py::tuple& results) {
  const Views<Real> views(from);
  const plan::Problem& problem = from.options.problem;
  ForwardCall<Real> call{};
  call.input = views.sequence(from.input, problem.input_size, "input");
  call.hidden_initial = views.states(from.hidden_initial, "h_0");
  call.cell_initial = views.states(from.cell_initial, "c_0");
  call.weights = views.weights();
  call.output = views.template sequence<Real>(results[0], problem.layer_output_size(), "output");
  call.hidden_final = views.template states<Real>(results[1], "h_n");
  call.cell_final = views.template states<Real>(results[2], "c_n");
  call.dropout = from.dropout;
  if (from.options.has_tape) call.tape = views.tape(results[3], from.options.tape_form, "reserve");
  const py::gil_scoped_release release;
  cuda::forward<Real>(from.options, call, from.stream);
}

void forward(py::handle call, const py::tuple& results) {
  const Call from = call_of(call);
  from.options.dtype == Dtype::float32 ? run_forward<float>(from, results) : run_forward<double>(from, results);
}

template <class Real>
BackwardCall<Real> backward_call(Call& from, const Views<Real>& views, py::handle tape) {
  from.options.pass = Pass::backward;
  from.options.has_tape = false;
  BackwardCall<Real> call{};
  call.input = views.sequence(from.input, from.options.problem.input_size, "input");
  call.tape = views.tape(tape, from.options.tape_form, "reserve");
  call.dropout = from.dropout;
  return call;
}

// What a backward call reads beside the call and its tape, and what it writes to; each may be None.
struct Gradients {
  py::handle given;    // an `_backward.OutputGradients`
  py::tuple results;   // of input, h_0 and c_0
  py::object weights;  // `_run.CellWeights`
  py::object workspace;
};

template <class Real>
void run_backward(Call& from, py::handle tape, const Gradients& gradients) {
  static const Field output("output"), h_n("h_n"), c_n("c_n");
  const Views<Real> views(from);
  const plan::Problem& problem = from.options.problem;
  BackwardCall<Real> call = backward_call<Real>(from, views, tape);
  const py::object d_output = output.of(gradients.given);
  const py::object d_input = gradients.results[0], d_h = gradients.results[1], d_c = gradients.results[2];
  Options& options = from.options;
  options.runs_steps = true;
  options.has_output_gradient = !d_output.is_none();
  options.wants_input = !d_input.is_none();
  options.wants_states = !d_h.is_none();
  options.wants_weights = !gradients.weights.is_none();
  options.keeps_workspace = !gradients.workspace.is_none();
  if (options.wants_states == d_c.is_none()) Array::refuse("d_h_0, d_c_0", "both or none");
  if (options.keeps_workspace) call.workspace = views.tape(gradients.workspace, plan::TapeForm::gates, "workspace");
  if (options.wants_weights) call.weight_gradients = views.gradients(gradients.weights);
  call.hidden_initial = views.states(from.hidden_initial, "h_0");
  call.cell_initial = views.states(from.cell_initial, "c_0");
  call.weights = views.weights();
  if (options.has_output_gradient) {
    call.output_gradient = views.sequence(d_output, problem.layer_output_size(), "d_output");
  }
  call.hidden_final_gradient = views.states(h_n.of(gradients.given), "d_h_n");
  call.cell_final_gradient = views.states(c_n.of(gradients.given), "d_c_n");
  if (options.wants_input) {
    call.input_gradient = views.template sequence<Real>(d_input, problem.input_size, "d_input");
  }
  call.hidden_gradient = views.template states<Real>(d_h, "d_h_0");
  call.cell_gradient = views.template states<Real>(d_c, "d_c_0");
  const py::gil_scoped_release release;
  cuda::backward<Real>(options, call, from.stream);
}

void backward(py::handle call, py::handle tape, py::handle given, const py::tuple& results, const py::object& weights,
              const py::object& workspace) {
  Call from = call_of(call);
  const Gradients gradients{given, results, weights, workspace};
  from.options.dtype == Dtype::float32 ? run_backward<float>(from, tape, gradients)
                                       : run_backward<double>(from, tape, gradients);
}

template <class Real>
void run_weights(Call& from, py::handle tape, py::handle workspace, py::handle gradients, bool accumulate) {
  const Views<Real> views(from);
  BackwardCall<Real> call = backward_call<Real>(from, views, tape);
  from.options.wants_weights = true;
  call.workspace = views.tape(workspace, plan::TapeForm::gates, "workspace");
  call.weight_gradients = views.gradients(gradients);
  call.accumulate = accumulate;
  const py::gil_scoped_release release;
  cuda::backward<Real>(from.options, call, from.stream);
}

void weight_gradients(py::handle call, py::handle tape, py::handle workspace, py::handle gradients, bool accumulate) {
  Call from = call_of(call);
  from.options.dtype == Dtype::float32 ? run_weights<float>(from, tape, workspace, gradients, accumulate)
                                       : run_weights<double>(from, tape, workspace, gradients, accumulate);
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
  module.def("forward", &forward, "call"_a, "results"_a,
             "Runs a call into device arrays: output, h_n, c_n, and the tape or None.");
  module.def("backward", &backward, "call"_a, "tape"_a, "given"_a, "results"_a, "weights"_a, "workspace"_a,
             "Computes the gradients that have an array to go to, from a tape that forward() filled.");
  module.def("weight_gradients", &weight_gradients, "call"_a, "tape"_a, "workspace"_a, "gradients"_a, "accumulate"_a,
             "Computes the gradients of the weights from what backward() left in the workspace.");
}

}  // namespace lstm_native::cuda::bindings
