// driver: one layer, all its directions, over a whole sequence.
#pragma once

#include "common/team.hpp"
#include "common/views.hpp"
#include "driver/cell_weights.hpp"
#include "driver/recurrent_mask.hpp"
#include "plan/plan.hpp"
#include "plan/scratch.hpp"

namespace lstm_native::driver {

// A sequence that the caller holds (view), or that we store between layers (storage).
template <class Real>
struct Rows {
  SequenceView<Real> view;
  StoredRows<Real> storage;
  index_t first_feature = 0;

  Real* at(const plan::ActiveRows& active, index_t step, index_t row) const {
    Real* begin = storage.data != nullptr ? storage.row(active.stored(step, row)) : active.locate(view, step, row);
    return begin + first_feature;
  }
};

// What one direction of a layer reads and writes. No two of its pointers may overlap.
template <class Real>
struct DirectionForward {
  CellWeights<Real> weights;
  Real* packed_input;         // scratch for the panels, if the path is packed_per_call
  bool input_block_by_block;  // then each thread has its own panel, for one unit block at a time
  Real* packed_hidden;        // the same
  Real* packed_projection;    // scratch if the weights are not packed, as the two below
  Real* projection_bias;      // zeros
  Real* bias_panel;
  bool reverse;
  StateView<const Real> hidden_initial;  // of this direction: layer_stride unused; unit_stride 1
  StateView<const Real> cell_initial;
  StoredRows<Real> hidden_final;  // (batch, output_size): overwritten
  StoredRows<Real> cell_final;    // (batch, cell_size): overwritten, and scratch for every step's cell state
  Rows<Real> output;              // this direction's features; overwritten
  // Only with a projection; absent also if the hidden states are known.
  StoredRows<Real> cell_outputs;  // (batch, cell_size): scratch for what W_hr is multiplied with
  StoredRows<Real> projected;     // (batch, plan.projected_elements()): scratch
  Real* pre_activations;          // (chunk's rows, ...): scratch; null: each step includes the input projection
  StoredRows<Real> gates_tape;  // (rows, 4 * cell_size): overwritten with what the cell keeps of them; absent: not kept
  StoredRows<Real> hidden_tape;   // (rows, output_size): overwritten; absent: not kept
  StoredRows<Real> cell_tape;     // (rows, cell_size): overwritten; absent: not kept
  StoredRows<Real> initial_tape;  // (batch, cell_size): overwritten with cell_initial; absent: not kept
  CellSpec cell;
  // h_(t-1) with its mask, as the products read it: (batch, output_size) of even and of odd steps; or where all states
  // are known, (chunk's rows, output_size) of even and of odd chunks. Absent without dropout of these.
  RecurrentMask<Real> recurrent_mask;
  StoredRows<Real> masked_hidden[2];
  // (rows, output_size) and (rows, cell_size): the states, where they are known and only gates_tape is to be written,
  // by the same products, so with the same bits; else absent.
  StoredRows<const Real> recorded_hidden;
  StoredRows<const Real> known_cells;
};

template <class Real>
struct LayerForward {
  index_t layer;
  const plan::LayerPlan* plan;
  Rows<const Real> input;
  DirectionForward<Real> directions[2];
  bool blocks_descending;  // which end of the weights the first step begins with
};

// Where the threads of a team wait for each other.
struct Barriers {
  Barrier* team;
  Barrier* directions;  // one per direction
  Barrier* groups;      // one per group of threads that share batch rows; as many as the team has threads
  Progress* layers;     // one per layer, in steps
};

// A thread's part ends early if the call is cancelled. Its results are then unfinished.

// One thread's part. Every thread of the team calls it with the same arguments, except `team` and `scratch`. A thread
// must wait for the others before it reads the layer's results.
template <class Real>
void layer_forward(const plan::Plan& plan, const LayerForward<Real>& layer, const Team& team, const Barriers& barriers,
                   CancellationPoll& poll, const plan::ThreadScratch<Real>& scratch);

// A whole layer of one direction with packed weights, on one thread. Other threads run the layers below and above. It
// begins a chunk of steps when the layer below has done that chunk, and reports its own progress.
template <class Real>
void layer_forward_in_wavefront(const plan::Plan& plan, const LayerForward<Real>& layer, const Barriers& barriers,
                                CancellationPoll& poll, const plan::ThreadScratch<Real>& scratch);

}  // namespace lstm_native::driver
