// kernels: the arguments of the backward kernels, with their contracts. Plain data only, as kernel_table.hpp explains.
//
// Units come in groups of backward_group_vectors vectors. The kernels read recurrent weights as rows of units: W_hh (4
// * cell_size, output_size) or W_hr (output_size, cell_size) where it is, or packed as [group][k][unit of the group],
// where k counts its rows. A packed group holds zeros past the last unit. A matrix that is not packed must fill its
// groups.
#pragma once

#include "common/cell_spec.hpp"
#include "common/types.hpp"

namespace lstm_native::kernels {

inline constexpr index_t backward_group_vectors = 2;

// One batch row at one step. No pointer that is written may overlap another pointer, unless a comment says so.
template <class Real>
struct BackwardRow {
  const Real* next_gate_gradients = nullptr;  // (size): what the weights are multiplied with; usually the gradient of
                                              // the pre-activations (4, units) of the row's next step
  const Real* output_gradient = nullptr;      // (units): of h_t, from the layer's output; null: zero
  const Real* final_gradient = nullptr;       // (units): of h_t, as a final state; null: zero
  const Real* gates = nullptr;                // (4, units): as the cell's tape keeps them
  const Real* cell = nullptr;                 // (units): c_t
  const Real* previous_cell = nullptr;        // (units): c_(t-1)
  Real* cell_gradient = nullptr;              // (units): of c_t, overwritten with that of c_(t-1)
  Real* gate_gradients = nullptr;  // (4, units): overwritten with the pre-activations' gradient; may be `gates` itself
  Real* hidden = nullptr;          // (units): overwritten with h_t; null: not wanted
  Real* sums = nullptr;            // (groups' units): scratch
};

// Some rows of one step, for groups of units [first_group, end_group):
//   dh = output_gradient + final_gradient + weights^T next_gate_gradients
//   the gradients of the pre-activations and of c_(t-1), from dh and cell_gradient
// Each sum runs over k in order, whatever the rows and groups of a call.
template <class Real>
struct StepBackward {
  const BackwardRow<Real>* rows = nullptr;
  index_t row_count = 0;
  index_t units = 0;  // of the whole layer
  index_t size = 0;   // of k
  index_t first_group = 0;
  index_t end_group = 0;
  const Real* weights = nullptr;  // of the first group; null: the rows have no next step
  index_t weight_stride = 0;      // from one k to the next
  index_t group_stride = 0;       // from one group to the next
  CellSpec cell{};
  const Real* peepholes = nullptr;  // (3, units); null: there are none
};

// Hidden states from a tape's output gates and cell states. In the standard cell, to[r][u] = o * tanh(c).
template <class Real>
struct HiddenStates {
  const Real* output_gates = nullptr;  // rows gate_stride apart
  const Real* cells = nullptr;
  Real* to = nullptr;  // overwritten
  index_t rows = 0;
  index_t units = 0;
  index_t gate_stride = 0;
  index_t cell_stride = 0;
  index_t stride = 0;  // of to
  CellSpec cell{};
};

// to[k] += the sum over rows of from[row][k], in the rows' order.
template <class Real>
struct SumOfRows {
  const Real* from = nullptr;
  index_t rows = 0;
  index_t columns = 0;
  index_t row_stride = 0;
  Real* to = nullptr;  // (columns), contiguous
};

// to[k] += the sum over rows of left[row][k] * right[row][k], in the rows' order.
template <class Real>
struct SumOfProducts {
  index_t rows = 0;
  index_t columns = 0;
  const Real* left = nullptr;  // rows left_stride apart
  index_t left_stride = 0;
  const Real* right = nullptr;
  index_t right_stride = 0;
  Real* to = nullptr;  // (columns), contiguous; overlaps neither
};

// result (left_columns, right_columns) += left^T right, in the rows' order. The order is the same whatever part of a
// matrix a call computes.
template <class Real>
struct ProductOverRows {
  index_t rows = 0;
  const Real* left = nullptr;  // (rows, left_columns), rows left_stride apart
  index_t left_stride = 0;
  index_t left_columns = 0;
  const Real* right = nullptr;  // (rows, right_columns)
  index_t right_stride = 0;
  index_t right_columns = 0;
  Real* result = nullptr;  // contiguous rows, result_stride apart; overlaps neither
  index_t result_stride = 0;
};

// result (rows, columns) = left times a matrix (size, columns) that is packed in panels, or += if accumulate. A panel
// is a group of columns, as large as a group of units: [group][k][column of the group]; any values may stand past the
// last column. Each sum runs over k in order, whatever part of a product a call computes.
template <class Real>
struct PanelProduct {
  index_t rows = 0;
  index_t size = 0;            // of k
  const Real* left = nullptr;  // (rows, size), rows left_stride apart
  index_t left_stride = 0;
  const Real* panels = nullptr;
  index_t columns = 0;
  Real* result = nullptr;  // contiguous rows, result_stride apart; overlaps neither
  index_t result_stride = 0;
  bool accumulate = false;
};

template <class Real>
struct BackwardKernels {
  void (*step)(const StepBackward<Real>&);
  // Writes only dh, into BackwardRow::hidden.
  void (*state)(const StepBackward<Real>&);
  void (*hidden_states)(const HiddenStates<Real>&);
  void (*sum_of_rows)(const SumOfRows<Real>&);
  void (*sum_of_products)(const SumOfProducts<Real>&);
  void (*product_over_rows)(const ProductOverRows<Real>&);
  void (*panel_product)(const PanelProduct<Real>&);
};

}  // namespace lstm_native::kernels
