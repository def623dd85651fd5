// kernels/generic: one translation unit of an ISA. Included inside that ISA's namespace. The build compiles an ISA's
// kernels.cpp once for each unit_*.inl: units compile side by side, and an edit recompiles only those it affects.

struct Float16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

// WeightFormat's. Two numbers in bfloat16 make a lane of 32 bits, from which one instruction makes each of them.
template <class Weight>
constexpr index_t columns_of_group = 1;
template <>
constexpr index_t columns_of_group<BFloat16> = 2;

// What one unit defines and others use. Exactly one unit defines the members of a class.
template <class Real, class Weight>
struct ForwardUnit {
  static void project(const StepForward<Real>& step);
  static void step(const StepForward<Real>& step);
};

// Finishes a tile of two rows or more of the standard cell. Every kind of product calls this one copy, and an edit of
// the products does not recompile it.
template <class Real, int rows>
struct TileUnit {
  static void finish(const StepForward<Real>& step, const StepRow<Real>* row, index_t block, Real* products);
};

// One tile whose products are there: `products` is (row, block, gate, lane), and is overwritten.
template <class Real>
struct MultipliedTile {
  const StepRow<Real>* row;
  int rows;
  int blocks;
  index_t block;  // the first
  Real* products;
};

// Finishes a tile of any cell.
template <class Real>
struct CellUnit {
  static void finish(const StepForward<Real>& step, const MultipliedTile<Real>& tile);
};

template <class Real>
struct BackwardUnit {
  static void step(const StepBackward<Real>& step);
  static void state(const StepBackward<Real>& step);
  static void hidden(const HiddenStates<Real>& states);
  static void sum(const SumOfRows<Real>& sum);
  static void over_rows(const ProductOverRows<Real>& product);
  static void panels(const PanelProduct<Real>& product);
};

namespace {

// clang-format off: each part uses those above it
#include "kernels/generic/vector.inl"
#include "kernels/generic/halves.inl"
#include LSTM_NATIVE_ISA_PRIMITIVES
#include "kernels/generic/activations.inl"
#include "kernels/generic/arithmetic.inl"
#define LSTM_NATIVE_CELL_CODE [[gnu::always_inline]] inline
#include "kernels/generic/cells/table.inl"
#include "kernels/generic/access.inl"
#include "kernels/generic/tiling.inl"
// clang-format on

}  // namespace

#include LSTM_NATIVE_KERNEL_UNIT
