// driver: where the arrays of a backward call are on their way, in the call's scratch or in its workspace.
#pragma once

#include "driver/stack_backward.hpp"
#include "plan/backward_scratch.hpp"

namespace lstm_native::driver {

template <class Real>
struct BackwardMemory {
  const plan::BackwardPlan& plan;
  const RecordedForward<Real>& forward;
  const plan::BackwardScratch<Real>& scratch;
  Real* workspace;  // as StackBackward says; null: all is in the scratch
  plan::TapeLayout tape;
  plan::TapeLayout workspace_layout;

  BackwardMemory(const plan::BackwardPlan& backward_plan, const RecordedForward<Real>& recorded,
                 const plan::BackwardScratch<Real>& memory, Real* given)
      : plan(backward_plan),
        forward(recorded),
        scratch(memory),
        workspace(given),
        tape(problem(), plan.forward.rows.total(), recorded.tape_form),
        workspace_layout(problem(), plan.forward.rows.total()) {}

  const plan::Problem& problem() const { return plan.problem(); }
  // Of a layer's direction among the states and weights of all.
  index_t state(index_t layer, index_t direction) const { return layer * problem().num_directions + direction; }
  // What the forward call kept. A tape of gates has the hidden states of a projection only.
  StoredRows<const Real> recorded_gates(index_t layer, index_t direction) const {
    return {forward.tape + tape.gates(layer, direction), plan.gate_columns()};
  }
  StoredRows<const Real> recorded_hidden(index_t layer, index_t direction) const {
    return {forward.tape + tape.hidden(layer, direction), problem().output_size};
  }
  StoredRows<const Real> recorded_cells(index_t layer, index_t direction) const {
    return {forward.tape + tape.cells(layer, direction), problem().cell_size};
  }
  // (batch, cell_size), of a cell with peepholes.
  StoredRows<const Real> recorded_initial_cells(index_t layer, index_t direction) const {
    return {forward.tape + tape.initial_cells(layer, direction), problem().cell_size};
  }
  StoredRows<Real> gate_gradients(index_t layer, index_t direction) const {
    const auto& at = scratch.layout();
    return {workspace != nullptr ? workspace + workspace_layout.gates(layer, direction)
                                 : scratch.at(at.gate_gradients + direction * at.gate_gradients_size),
            plan.gate_columns()};
  }
  // Absent: the weights' gradients, which need it, are not wanted.
  StoredRows<Real> hidden_before(index_t layer, index_t direction) const {
    const auto& at = scratch.layout();
    const index_t width = problem().output_size;
    if (workspace != nullptr) return {workspace + workspace_layout.cells(layer, direction), width};
    return {plan.wants.weights ? scratch.at(at.hidden_before + direction * at.hidden_before_size) : nullptr, width};
  }
  // Of every h_t, where a projection makes it; absent otherwise.
  StoredRows<Real> hidden_gradients(index_t layer, index_t direction) const {
    if (!problem().projects()) return {};
    const auto& at = scratch.layout();
    const index_t width = problem().output_size;
    if (workspace != nullptr) return {workspace + workspace_layout.hidden(layer, direction), width};
    return {scratch.at(at.hidden_gradients + direction * at.hidden_gradients_size), width};
  }
  // What a projection multiplies; absent where there is none, or its gradient is not wanted.
  StoredRows<Real> cell_outputs(index_t direction) const {
    if (!problem().projects() || !plan.wants.weights) return {};
    const auto& at = scratch.layout();
    return {scratch.at(at.cell_outputs + direction * at.cell_outputs_size), problem().cell_size};
  }
  // What a layer read, where a thread stores it.
  Real* layer_input() const { return scratch.at(scratch.layout().layer_input); }
  bool gathers_input() const {
    return plan.wants.weights && plan.forward.rows.even_stride(forward.input) < problem().input_size;
  }
};

}  // namespace lstm_native::driver
