// kernels/generic/cells: the table of cells. A cell is a template over an arithmetic, which says what its values are:
// vectors of units on CPUs (arithmetic.inl), single units on a CUDA device (cuda/cells.cuh). Who includes this
// file declares for these values, before it: side_by_side<activations...>(), tanh() and sigmoid() of several,
// multiply_add(), exp_minus_one() and log_one_plus_exp() of what is not positive, and what functions begin with:
// LSTM_NATIVE_CELL_CODE those of a cell, LSTM_NATIVE_CELL_BRANCHES those that choose when they run.

// clang-format off: others build on the standard cell
#include "kernels/generic/cells/standard.inl"
#include "kernels/generic/cells/coupled.inl"
#include "kernels/generic/cells/activations.inl"
#include "kernels/generic/cells/general.inl"
// clang-format on

// Calls body(a cell), of the kind that is asked for.
template <class Arithmetic, class Body>
inline void with_cell(const CellSpec& spec, const Body& body) {
  switch (spec.kind) {
    case CellKind::standard:
      return body(StandardCell<Arithmetic>{});
    case CellKind::coupled:
      return body(CoupledCell<Arithmetic>{});
    case CellKind::general:
      return body(GeneralCell<Arithmetic>{spec});
  }
}
