// kernels/generic/cells: the table of cells. A cell is a template over an arithmetic, which says what its values are:
// vectors of units on CPUs (arithmetic.inl), single units on a CUDA device (cuda/cells.cuh). A file that
// includes this one first declares for these values: side_by_side<activations...>(), tanh() and sigmoid() of several,
// multiply_add(), and exp_minus_one() and log_one_plus_exp() for arguments that are not positive. It also defines the
// specifiers of functions: LSTM_NATIVE_CELL_CODE for those of a cell, LSTM_NATIVE_CELL_BRANCHES for those that choose
// when they run.

// clang-format off: others build on the standard cell
#include "kernels/generic/cells/standard.inl"
#include "kernels/generic/cells/coupled.inl"
#include "kernels/generic/cells/activations.inl"
#include "kernels/generic/cells/general.inl"
// clang-format on

// Calls body(cell) with a cell of that kind.
template <class Arithmetic, class Body>
inline void with_cell(const CellSpec& spec, const Body& body) {
  switch (spec.kind) {
    case CellKind::standard:
      return body(StandardCell<Arithmetic>{});
    case CellKind::coupled:
      return body(CoupledCell<Arithmetic>{});
    case CellKind::general:
      if (spec.gates.kind == Activation::sigmoid && spec.candidate.kind == Activation::tanh &&
          spec.output.kind == Activation::tanh) {
        return body(GeneralCell<Arithmetic, true>{spec});
      }
      return body(GeneralCell<Arithmetic, false>{spec});
  }
}
