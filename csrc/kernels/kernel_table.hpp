// kernels: the interface to drivers: argument structs with their contracts, and one table of function pointers per ISA.
// Per-ISA units include this file, so it holds plain data only. Of an inline function a linker could keep the AVX-512
// copy, which an older CPU can't run.
//
// Units come in blocks, with a unit for each lane of a vector. A packed weight matrix is
// [unit block][gate pair][column group][gate of the pair][lane][column of the group]; the pairs are i, f and g, o. So a
// tile of rows reads the weights of a pair, or of a whole block, without a gap. Lanes past the last unit, and columns
// past the last column of a matrix, hold zeros. Pre-activations and biases are [unit block][gate][lane].
//
// A block of weights in 8 bits ends with what its integers stand for: [gate][lane] scales, in float, and [gate][lane]
// sums of the integers of a gate's row, in 32 bits: what each product changes by where all of a vector's integers do.
#pragma once

#include "common/cell_spec.hpp"
#include "common/types.hpp"
#include "kernels/backward_arguments.hpp"

namespace lstm_native::kernels {

// One batch row at one step. No pointer that is written may overlap another pointer.
template <class Real>
struct StepRow {
  const Real* input = nullptr;      // (input_size): x_t, or the output of the layer below
  Real* pre_activations = nullptr;  // (unit blocks, gate, lane), or as StepForward's strides say
  const Real* hidden = nullptr;     // (hidden_size): h_(t-1)
  Real* next_hidden = nullptr;      // (units): overwritten with h_t; null in all rows: only gates_tape is written
  Real* cell = nullptr;             // (units): c_(t-1), overwritten with c_t
  Real* gates_tape = nullptr;       // (4, units): overwritten with the gates, as the cell keeps them; null: not kept
  Real* cell_tape = nullptr;        // (units): overwritten with c_t; null: not kept
  // If only gates_tape is written, cells with peepholes read cell and cell_tape, and other cells use neither.
};

// Some rows of one step, for unit blocks [first_block, end_block):
//   pre-activations = bias + W_ih x_t + W_hh h_(t-1)
//   gates, c_t and h_t from them, as the cell says (generic/cells/)
// Each sum runs over k in order, whatever the rows and blocks of a call: a row's result does not depend on the other
// rows of the call.
template <class Real>
struct StepForward {
  const StepRow<Real>* rows = nullptr;
  index_t row_count = 0;
  index_t units = 0;  // of the whole layer
  index_t first_block = 0;
  index_t end_block = 0;
  index_t input_size = 0;
  index_t hidden_size = 0;
  const void* input_weights = nullptr;   // packed; null: StepRow::pre_activations already hold this product
  const void* hidden_weights = nullptr;  // packed; null: they also hold this product (then input_weights is null)
  const Real* bias = nullptr;            // packed; null: they also hold the bias (then input_weights is null)
  index_t pre_block_stride = 0;          // in elements, of StepRow::pre_activations, if step() reads them
  index_t pre_gate_stride = 0;
  bool blocks_descending = false;  // from the last block to the first: this first uses what a cache still holds
  CellSpec cell{};
  // Where the format says vector_bytes: scratch of row_count times vector_stride bytes, on cache lines. A row takes one
  // line, then input_terms vectors of its input and hidden_terms of its hidden state, each of whole lines.
  void* vectors = nullptr;
  index_t vector_stride = 0;
  const Real* peepholes = nullptr;  // (3, units), of i, f and o; null: there are none
};

// A product with a matrix that is not packed: pre_activations = bias + W x, or += W x if bias is null. Vector lanes run
// along k.
template <class Real>
struct ProductInPlace {
  const StepRow<Real>* rows = nullptr;
  index_t row_count = 0;
  index_t units = 0;
  index_t first_block = 0;
  index_t end_block = 0;
  bool of_hidden = false;         // multiplies StepRow::hidden instead of StepRow::input
  const Real* weights = nullptr;  // (4 * units, size), contiguous rows
  index_t row_stride = 0;
  index_t size = 0;
  const Real* bias = nullptr;  // packed
  index_t pre_block_stride = 0;
  index_t pre_gate_stride = 0;
  bool blocks_descending = false;  // as in StepForward
};

// to[k * to_stride + lane] = from[lane * row_stride + k], or 0 where lane >= row_count, for k in [0, size) and every
// lane of a vector. Overwrites; to and from must not overlap.
template <class Real>
struct PackRows {
  const Real* from = nullptr;
  index_t row_stride = 0;
  index_t row_count = 0;
  index_t size = 0;
  Real* to = nullptr;
  index_t to_stride = 0;
};

// One unit block of a matrix, packed by the format's own order from the rows that its lanes hold.
template <class Real>
struct PackBlock {
  const Real* from = nullptr;  // the matrix
  index_t row_stride = 0;
  index_t column_stride = 0;
  index_t columns = 0;
  index_t first_row[gate_count]{};  // of each gate's lanes
  index_t row_count[gate_count]{};  // at most the lanes
  void* to = nullptr;               // overwritten, with zeros past the rows and columns
};

// The reverse, for the row in one lane: to is (columns), contiguous.
template <class Real>
struct UnpackRow {
  const void* block = nullptr;
  index_t gate = 0;
  index_t lane = 0;
  index_t columns = 0;
  Real* to = nullptr;
};

// How a packed weight matrix is stored, and what it is multiplied with.
struct WeightFormat {
  const char* name = "";
  index_t bytes = 0;             // of one weight
  index_t lanes = 0;             // units of a block
  index_t columns_of_group = 1;  // that are side by side in a lane
  index_t scale_bytes = 0;       // beside the weights, of each gate of a unit
  index_t vector_bytes = 0;      // of a column of an input or a hidden state once rounded; 0: they are used as they are
  index_t input_terms = 1;       // vectors that an input is rounded to, whose products are added
  index_t hidden_terms = 1;      // the same of a hidden state, at most
  index_t columns_at_once = 1;   // that one instruction multiplies and adds in a lane
  const char* instructions = "";  // that multiply
  // What can be packed: finite numbers only, or all but those that are finite and at least infinite_from.
  bool finite_only = false;
  float infinite_from = __builtin_huge_valf();
  index_t most_columns = 0;     // 0: any number
  double expected_error = 0.0;  // of results, relative: by `make accuracy`
};

template <class Real>
struct StepKernels {
  WeightFormat format;
  void (*pack)(const PackBlock<Real>&) = nullptr;
  void (*unpack)(const UnpackRow<Real>&) = nullptr;
  // Copies a unit block as the first format stores it, with these columns. Null: it can't.
  void (*widen)(const void* block, Real* to, index_t columns) = nullptr;
  // pre_activations = bias + W_ih x_t, packed, for all rows of the call.
  void (*project)(const StepForward<Real>&) = nullptr;
  void (*step)(const StepForward<Real>&) = nullptr;
  // For benchmarks: multiplies and adds in registers, rounds * 2 * probe_accumulators * lanes * columns_at_once
  // operations. Returns something that depends on all of them.
  Real (*multiply)(index_t rounds) = nullptr;
};

template <class Real>
struct KernelsOf {
  const StepKernels<Real>* formats;  // the first one stores weights of type Real
  int format_count;
  void (*product_in_place)(const ProductInPlace<Real>&);
  void (*pack_rows)(const PackRows<Real>&);
  // out[k] = f(in[k]), k in [0, count); in and out may be equal.
  void (*sigmoid)(const Real* in, Real* out, index_t count);
  void (*tanh)(const Real* in, Real* out, index_t count);
  BackwardKernels<Real> backward;
};

struct KernelTable {
  const char* isa;
  const char* base;  // of a variant, the ISA whose other kernels it shares; otherwise equal to isa
  int vector_bytes;
  int tile_rows;  // batch rows that the step kernels hold in registers at once
  KernelsOf<float> float32;
  KernelsOf<double> float64;
  // For benchmarks: reads all of count, which is a multiple of 256. Returns something that depends on all of it.
  float (*read)(const float* from, index_t count);
};

inline constexpr index_t probe_accumulators = 12;

}  // namespace lstm_native::kernels
