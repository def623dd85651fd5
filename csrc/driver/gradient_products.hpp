// driver: the large products over all steps of a layer. From the gradients of its pre-activations they compute the
// gradients of its weights, biases and input.
#pragma once

#include "common/interruption.hpp"
#include "common/task_counter.hpp"
#include "common/team.hpp"
#include "common/views.hpp"
#include "plan/backward_plan.hpp"

namespace lstm_native::driver {

// Where the gradients of a direction's weights go. Data null: not wanted, or absent. A matrix has contiguous rows or
// contiguous columns.
template <class Real>
struct WeightGradients {
  MatrixView<Real> input;        // (4 * cell_size, layer's input size)
  MatrixView<Real> hidden;       // (4 * cell_size, output_size)
  MatrixView<Real> projection;   // (output_size, cell_size)
  VectorView<Real> input_bias;   // (4 * cell_size)
  VectorView<Real> hidden_bias;  // (4 * cell_size): the same values
  VectorView<Real> peephole;     // (3 * cell_size)
};

// Scratch for one block of rows of a factor of a product over rows. Null: not packed this way.
template <class Real>
struct PackedRows {
  Real* transposed = nullptr;  // (columns, rows), plan.transposed_stride apart
  Real* panels = nullptr;      // [group of columns][row][column of the group]
};

template <class Real>
struct DirectionProducts {
  StoredRows<const Real> gate_gradients;   // (rows, 4 * cell_size)
  StoredRows<const Real> previous_hidden;  // (rows, output_size), if weights are wanted
  MatrixView<const Real> input_weights;    // (4 * cell_size, layer's input size), blas::readable
  Real* packed_input_weights;              // scratch: panels; null: input_weights are read where they are
  PackedRows<Real> packed_gates;
  PackedRows<Real> packed_hidden;
  // Of a projection, if weights are wanted.
  StoredRows<const Real> hidden_gradients;  // (rows, output_size)
  StoredRows<const Real> cell_outputs;      // (rows, cell_size)
  PackedRows<Real> packed_hidden_gradients;
  PackedRows<Real> packed_cell_outputs;
  bool reverse;
  StoredRows<const Real> cells;          // (rows, cell_size): c_t of each row
  StoredRows<const Real> initial_cells;  // (batch, cell_size); absent: the cell has no peepholes
  WeightGradients<Real> gradients;       // overwritten, or added to
};

template <class Real>
struct LayerProducts {
  DirectionProducts<Real> directions[2];
  index_t input_size;  // of the layer
  const Real* input;   // (rows, input_size), rows input_stride apart, if weights are wanted
  index_t input_stride;
  PackedRows<Real> packed_input;
  Real* input_gradient;  // (rows, input_size), input_gradient_stride apart: overwritten; null: not wanted
  index_t input_gradient_stride;
  bool accumulate;  // add to the weights' gradients
};

// Every thread of a team calls it with the same arguments, and waits for the others before it reads the results. tasks:
// unused counters, one for each of the plan's blocks of rows. False: the call is cancelled.
template <class Real>
bool gradient_products(const plan::BackwardPlan& plan, const LayerProducts<Real>& layer, const Team& team,
                       Barrier& barrier, CancellationPoll& poll, TaskCounter* tasks);

}  // namespace lstm_native::driver
