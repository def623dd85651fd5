// kernels/generic/cells: the table of cells. A cell is a template over an arithmetic, which says what its values are:
// vectors of units on CPUs (arithmetic.inl), single units on a CUDA device (cuda/cells.cuh). Who includes this
// file declares for these values, before it: side_by_side<activations...>(), tanh(), multiply_add(), and
// LSTM_NATIVE_CELL_CODE, which is what a function of a cell begins with.

// clang-format off: others build on the standard cell
#include "kernels/generic/cells/standard.inl"
#include "kernels/generic/cells/coupled.inl"
// clang-format on

// Calls body(a cell), of the kind that is asked for.
template <class Arithmetic, class Body>
inline void with_cell(const CellSpec& spec, const Body& body) {
  switch (spec.kind) {
    case CellKind::standard:
      return body(StandardCell<Arithmetic>{});
    case CellKind::coupled:
      return body(CoupledCell<Arithmetic>{});
  }
}
