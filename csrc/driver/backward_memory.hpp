// driver: where a backward call keeps its arrays: in its scratch or in its workspace.
#pragma once

#include "driver/stack_backward.hpp"
#include "plan/backward_scratch.hpp"

namespace lstm_native::driver {

template <class Real>
struct BackwardMemory {
  const plan::BackwardPlan& plan;
  const RecordedForward<Real>& forward;
  const plan::BackwardScratch<Real>& scratch;
  Real* workspace;  // see StackBackward; null: all arrays are in the scratch
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
  // The place of a layer's direction among all states and weights.
  index_t state(index_t layer, index_t direction) const { return layer * problem().num_directions + direction; }
  // What the forward call kept. A tape of gates has hidden states only with a projection.
  StoredRows<const Real> recorded_gates(index_t layer, index_t direction) const {
    return {forward.tape + tape.gates(layer, direction), plan.gate_columns()};
  }
  StoredRows<const Real> recorded_hidden(index_t layer, index_t direction) const {
    return {forward.tape + tape.hidden(layer, direction), problem().output_size};
  }
  StoredRows<const Real> recorded_cells(index_t layer, index_t direction) const {
    return {forward.tape + tape.cells(layer, direction), problem().cell_size};
  }
  // (batch, cell_size); only of a cell with peepholes.
  StoredRows<const Real> recorded_initial_cells(index_t layer, index_t direction) const {
    return {forward.tape + tape.initial_cells(layer, direction), problem().cell_size};
  }
  StoredRows<Real> gate_gradients(index_t layer, index_t direction) const {
    const auto& at = scratch.layout();
    return {workspace != nullptr ? workspace + workspace_layout.gates(layer, direction)
                                 : scratch.at(at.gate_gradients + direction * at.gate_gradients_size),
            plan.gate_columns()};
  }
  // Absent if the gradients of the weights, which need it, are not wanted.
  StoredRows<Real> previous_hidden(index_t layer, index_t direction) const {
    const auto& at = scratch.layout();
    const index_t width = problem().output_size;
    if (workspace != nullptr) return {workspace + workspace_layout.cells(layer, direction), width};
    return {plan.wants.weights ? scratch.at(at.previous_hidden + direction * at.previous_hidden_size) : nullptr, width};
  }
  // Of every h_t; absent without a projection.
  StoredRows<Real> hidden_gradients(index_t layer, index_t direction) const {
    if (!problem().projects()) return {};
    const auto& at = scratch.layout();
    const index_t width = problem().output_size;
    if (workspace != nullptr) return {workspace + workspace_layout.hidden(layer, direction), width};
    return {scratch.at(at.hidden_gradients + direction * at.hidden_gradients_size), width};
  }
  // What W_hr is multiplied with; absent without a projection, or if its gradient is not wanted.
  StoredRows<Real> cell_outputs(index_t direction) const {
    if (!problem().projects() || !plan.wants.weights) return {};
    const auto& at = scratch.layout();
    return {scratch.at(at.cell_outputs + direction * at.cell_outputs_size), problem().cell_size};
  }
  // Scratch for a layer's input.
  Real* layer_input() const { return scratch.at(scratch.layout().layer_input); }
  bool gathers_input() const {
    return plan.wants.weights && plan.forward.rows.even_stride(forward.input) < problem().input_size;
  }
};

}  // namespace lstm_native::driver
