// driver: the steps of one layer backward, in all its directions. From the gradient of the layer's outputs they compute
// those of its pre-activations and initial states.
#pragma once

#include "common/team.hpp"
#include "common/views.hpp"
#include "driver/layer_forward.hpp"
#include "plan/backward_plan.hpp"

namespace lstm_native::driver {

// What one direction of a layer reads and writes. No two of its pointers may overlap, unless a comment says so.
template <class Real>
struct DirectionBackward {
  CellSpec cell;
  MatrixView<const Real> hidden_weights;      // (4 * cell_size, output_size)
  const Real* peephole;                       // (3, cell_size); null: absent
  MatrixView<const Real> projection_weights;  // (output_size, cell_size); absent: h_t is the cell's output
  Real* packed_hidden;                        // scratch; null: hidden_weights are read where they are
  Real* packed_projection;                    // the same
  bool reverse;
  StoredRows<const Real> gates;          // (rows, 4 * cell_size): as the tape keeps them
  StoredRows<const Real> cells;          // (rows, cell_size)
  StoredRows<const Real> hidden;         // (rows, output_size), of a projection
  StateView<const Real> hidden_initial;  // of this direction, as the three below
  StateView<const Real> cell_initial;
  StateView<const Real> hidden_final_gradient;  // data null: zero
  StateView<const Real> cell_final_gradient;    // data null: zero
  Rows<const Real> output_gradient;             // this direction's features
  bool has_output_gradient;                     // otherwise zero
  StoredRows<Real> hidden_gradient;   // (batch, output_size): overwritten with the initial state's; absent: not wanted
  StoredRows<Real> cell_gradient;     // (batch, cell_size): overwritten with the initial state's, and with every step's
  StoredRows<Real> gate_gradients;    // (rows, 4 * cell_size): overwritten; may be `gates` itself
  StoredRows<Real> previous_hidden;   // (rows, output_size): overwritten with h_(t-1) of each row; absent: not wanted
  StoredRows<Real> hidden_gradients;  // (rows, output_size), of a projection: overwritten with every h_t's
  StoredRows<Real> cell_outputs;  // (rows, cell_size), of a projection: overwritten with what it multiplies; absent:
                                  // not wanted
  StoredRows<Real> sums;          // (batch, groups' units): scratch
  // With dropout of h_(t-1), absent otherwise; previous_hidden then gets what the products read.
  RecurrentMask<Real> recurrent_mask;
  StoredRows<Real> recurrent_gradients;  // (batch, output_size): scratch: what a step hands on
};

template <class Real>
struct LayerBackward {
  DirectionBackward<Real> directions[2];
};

// Packs W_hh and W_hr if the plan says so. The threads share the work, and must wait for each other afterwards.
template <class Real>
void pack_for_backward(const plan::BackwardPlan& plan, const LayerBackward<Real>& layer, const Team& team,
                       CancellationPoll& poll);

// One thread's part of all steps. It ends early if the call is cancelled. A thread must wait for the others before it
// reads the results. table: as many rows as the batch.
template <class Real>
void layer_backward(const plan::BackwardPlan& plan, const LayerBackward<Real>& layer, const Team& team,
                    const Barriers& barriers, CancellationPoll& poll, kernels::BackwardRow<Real>* table);

}  // namespace lstm_native::driver
