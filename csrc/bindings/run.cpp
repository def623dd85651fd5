// bindings: the forward call.
#include "bindings/run.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "bindings/computation.hpp"
#include "bindings/register.hpp"
#include "bindings/results.hpp"
#include "driver/stack_forward.hpp"
#include "plan/tape.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::bindings {
namespace {

template <class Real>
ForwardResults run(Call& call, index_t repetitions) {
  const plan::Plan plan = plan_of(call, dtype_of<Real>);
  const plan::Problem& problem = plan.problem;
  const index_t states = problem.states();
  driver::StackForward<Real> stack{};
  stack.input = sequence_of<Real>({plan, call.batch_first, problem.input_size}, call.input, "input");
  stack.hidden_initial = states_of<Real>(plan, call.hidden_initial, problem.output_size, "h_0");
  stack.cell_initial = states_of<Real>(plan, call.cell_initial, problem.cell_size, "c_0");
  const CellViews<Real> weights(plan, call.weights);
  stack.weights = weights.data();
  stack.blocks_descending = call.weights.packed != nullptr && call.weights.packed->begins_descending();
  stack.dropout = call.about.dropout;
  NewSequence<Real> output({plan, call.batch_first, problem.layer_output_size()}, "output");
  auto h_n = new_array_of<Real>({states, problem.batch, problem.output_size});
  auto c_n = new_array_of<Real>({states, problem.batch, problem.cell_size});
  stack.output = output.view;
  stack.hidden_final = h_n.mutable_data();
  stack.cell_final = c_n.mutable_data();
  py::object tape = py::none();
  if (call.tape.has_value()) {
    auto array = new_tape<Real>(plan::TapeLayout(problem, plan.rows.total(), *call.tape).elements());
    stack.tape_form = *call.tape;
    stack.tape = array.mutable_data();
    tape = std::move(array);
  }
  repeat_without_gil(repetitions,
                     [&](Interruption& interruption) { driver::stack_forward(plan, stack, interruption); });
  return {std::move(output.array), std::move(h_n), std::move(c_n), std::move(tape)};
}

index_t tape_elements(py::handle described, bool recompute) {
  plan::Problem problem = description_of(described).problem;
  problem.threads = 1;  // has no effect here
  check(problem);
  return plan::TapeLayout(problem, plan::ActiveRows(problem, /*steps_listed=*/false).total(),
                          recompute ? plan::TapeForm::hidden : plan::TapeForm::gates)
      .elements();
}

// The factors of one layer's outputs.
py::array_t<double> dropout_mask(index_t rows, index_t width, index_t layer, py::handle dropout) {
  const rng::DropoutStream stream = masks_of(dropout);
  auto mask = new_array_of<double>({rows, width});
  double* const values = mask.mutable_data();
  std::fill_n(values, mask.size(), 1.0);
  rng::apply_dropout(values, mask.size(), static_cast<std::uint64_t>(layer * rows * width), stream);
  return mask;
}

}  // namespace

ForwardResults forward(Call call, index_t repetitions) {
  return dtype_of_array(call.input, "input") == Dtype::float32 ? run<float>(call, repetitions)
                                                               : run<double>(call, repetitions);
}

void register_run(py::module_& module) {
  using namespace py::literals;
  module.def(
      "forward",
      [](py::handle call, index_t repetitions) {
        const ForwardResults results = forward(call_of(call), repetitions);
        return py::make_tuple(results.output, results.h_n, results.c_n, results.tape);
      },
      "call"_a, "repetitions"_a = 1, "output, h_n, c_n, and the tape, (elements, 1), or None where none is asked for.");
  module.def("tape_elements", &tape_elements, "problem"_a, "recompute"_a = false,
             "Elements of the tape that forward() fills.");
  module.def(
      "dropout_mask", &dropout_mask, "rows"_a, "width"_a, "layer"_a, "dropout"_a,
      "(rows, width), rows in time order: 0 where a layer's output is dropped, elsewhere what it is multiplied by.");
  module.def(
      "tape_cell", [](py::handle described) { return plan::cell_fingerprint(description_of(described).problem); },
      "problem"_a, "What the tape's header says of the cell.");
}

}  // namespace lstm_native::bindings
