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

// What the formats have in common with others of their kind; bfloat16 products and integers below change some of it.
constexpr WeightFormat format_of_floats(const char* name, index_t bytes, double expected_error) {
  WeightFormat format;
  format.name = name;
  format.bytes = bytes;
  format.lanes = vector_bytes / static_cast<index_t>(sizeof(float));
  format.instructions = multiply_add_name;
  format.expected_error = expected_error;
  return format;
}

constexpr WeightFormat format_of_float16() {
  WeightFormat format = format_of_floats("float16", 2, 5e-4);
  format.infinite_from = 0x1.ffep15F;
  return format;
}

// Two numbers in bfloat16 make a lane of 32 bits, from which one instruction makes each of them.
constexpr WeightFormat format_of_bfloat16(const char* name, double expected_error) {
  WeightFormat format = format_of_floats(name, 2, expected_error);
  format.columns_of_group = 2;
  format.infinite_from = 0x1.ffp127F;
  return format;
}

constexpr WeightFormat format_of_rounded_bfloat16(index_t vector_bytes_per_column) {
  WeightFormat format = format_of_bfloat16("bfloat16_products", 5e-3);
  format.vector_bytes = vector_bytes_per_column;
  return format;
}

constexpr WeightFormat format_of_bfloat16_dot() {
  WeightFormat format = format_of_rounded_bfloat16(2);
  format.columns_at_once = 2;
  format.instructions = "vdpbf16ps";
  return format;
}

constexpr WeightFormat format_of_int8(int terms) {
  WeightFormat format = terms == 1 ? format_of_floats("int8_products", 1, 1.4e-2) : format_of_floats("int8", 1, 9e-3);
  format.columns_of_group = 4;
  format.scale_bytes = 8;
  format.vector_bytes = 2;
  format.input_terms = terms;
  format.hidden_terms = 2;
  format.columns_at_once = 2;
  format.instructions = multiply_pairs_name;
  format.finite_only = true;
  format.most_columns = index_t{1} << 16;  // sums of more products would not fit 32 bits
  return format;
}

constexpr WeightFormat format_of_int8_dot(int terms) {
  WeightFormat format = format_of_int8(terms);
  format.vector_bytes = 1;
  format.columns_at_once = 4;
  format.instructions = multiply_bytes_name;
  return format;
}

constexpr WeightFormat format_of_doubles() {
  WeightFormat format = format_of_floats("native", sizeof(double), 2e-15);
  format.lanes = vector_bytes / static_cast<index_t>(sizeof(double));
  return format;
}

template <class Weight>
constexpr WeightFormat format_of = format_of_floats("native", sizeof(Weight), 8e-7);
template <>
inline constexpr WeightFormat format_of<double> = format_of_doubles();
template <>
inline constexpr WeightFormat format_of<Float16> = format_of_float16();
template <>
inline constexpr WeightFormat format_of<BFloat16> = format_of_bfloat16("bfloat16", 4e-3);
template <>
inline constexpr WeightFormat format_of<RoundedBFloat16> = format_of_rounded_bfloat16(4);
template <>
inline constexpr WeightFormat format_of<BFloat16Dot> = format_of_bfloat16_dot();
template <int terms>
constexpr WeightFormat format_of<Int8<terms>> = format_of_int8(terms);
template <int terms>
constexpr WeightFormat format_of<Int8Dot<terms>> = format_of_int8_dot(terms);

template <class Weight>
constexpr index_t columns_of_group = format_of<Weight>.columns_of_group;

// Functions that one unit defines and others call. Exactly one unit defines the members of a class.
template <class Real, class Weight>
struct ForwardUnit {
  static void project(const StepForward<Real>& step);
  static void step(const StepForward<Real>& step);
  static Real multiply(index_t rounds);
};

// Finishes a tile of two rows or more of the standard cell. Every kind of product calls this one copy, and an edit of
// the products does not recompile it.
template <class Real, int rows>
struct TileUnit {
  static void finish(const StepForward<Real>& step, const StepRow<Real>* row, index_t block, Real* products);
};

// One tile after its products: `products` is (row, block, gate, lane), and is overwritten.
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
