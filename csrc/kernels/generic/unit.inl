// kernels/generic: one translation unit of an ISA. Included inside that ISA's namespace. The build compiles an ISA's
// kernels.cpp once for each unit_*.inl: units compile side by side, and an edit recompiles only those it affects.

struct Float16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

// Formats that round inputs and hidden states, too. Those that end in Dot need an instruction of their own.
struct RoundedBFloat16 {
  std::uint16_t bits;
};
struct BFloat16Dot {
  std::uint16_t bits;
};
// The weights and hidden states are in 8 bits, inputs in 8 bits for each term.
template <int terms>
struct Int8 {
  std::int8_t integer;
};
template <int terms>
struct Int8Dot {
  std::int8_t integer;
};

// Two numbers in bfloat16 make a lane of 32 bits, from which one instruction makes each of them.
template <class Weight>
constexpr WeightFormat format_of{sizeof(Weight), 1, 0, 0, 1, 1, multiply_add_name};
template <>
inline constexpr WeightFormat format_of<BFloat16>{2, 2, 0, 0, 1, 1, multiply_add_name};
template <>
inline constexpr WeightFormat format_of<RoundedBFloat16>{2, 2, 0, 4, 1, 1, multiply_add_name};
template <>
inline constexpr WeightFormat format_of<BFloat16Dot>{2, 2, 0, 2, 1, 2, "vdpbf16ps"};
template <int terms>
constexpr WeightFormat format_of<Int8<terms>>{1, 4, 8, 2, terms, 2, multiply_pairs_name};
template <int terms>
constexpr WeightFormat format_of<Int8Dot<terms>>{1, 4, 8, 1, terms, 4, "vpdpbusd"};

template <class Weight>
constexpr index_t columns_of_group = format_of<Weight>.columns_of_group;

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
  static void sum_products(const SumOfProducts<Real>& sum);
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
#define LSTM_NATIVE_CELL_BRANCHES [[gnu::noinline]]
#include "kernels/generic/cells/table.inl"
#include "kernels/generic/access.inl"
#include "kernels/generic/tiling.inl"
// clang-format on

}  // namespace

#include LSTM_NATIVE_KERNEL_UNIT
