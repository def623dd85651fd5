#include "plan/packed_weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "common/checked_size.hpp"
#include "kernels/dispatch.hpp"

namespace lstm_native::plan {
namespace {

constexpr index_t whole_lines(index_t bytes) {
  constexpr auto line = static_cast<index_t>(cache_line_bytes);
  return (bytes + line - 1) / line * line;
}

constexpr index_t pair_gates = 2;

// Where the weights of a gate are within their unit block.
struct GatePlace {
  GatePlace(const PackedForm& form, index_t columns, index_t gate)
      : together(form.format.columns_of_group),
        first((gate / pair_gates * form.stored(columns) * pair_gates + gate % pair_gates * together) * form.lanes),
        group_stride(pair_gates * together * form.lanes) {}

  index_t together;
  index_t first;
  index_t group_stride;
};

struct Rows {
  index_t first;
  index_t count;  // at most a block's lanes
};

// The rows, of a matrix with `matrix_rows`, that are in a block's lanes of a gate.
Rows rows_of(const PackedForm& form, index_t matrix_rows, index_t block, index_t gate) {
  if (form.order == RowOrder::consecutive) {
    const index_t first = (block * gate_count + gate) * form.lanes;
    return {first, std::clamp(matrix_rows - first, index_t{0}, form.lanes)};
  }
  const index_t units = matrix_rows / gate_count;
  return {gate * units + block * form.lanes, std::min(form.lanes, units - block * form.lanes)};
}

template <class Element>
void pack_lane_by_lane(const MatrixView<const Element>& matrix, const PackedForm& form, index_t block, Element* to) {
  // Columns in short runs, so that what is written stays in the L1 cache until its lines are full.
  constexpr index_t run = 64;
  const index_t stored = form.stored(matrix.columns);
  for (index_t begin = 0; begin < stored; begin += run) {
    const index_t end = std::min(begin + run, stored);
    for (index_t gate = 0; gate < gate_count; ++gate) {
      const GatePlace place(form, matrix.columns, gate);
      const Rows rows = rows_of(form, matrix.rows, block, gate);
      for (index_t lane = 0; lane < form.lanes; ++lane) {
        const bool there = lane < rows.count;
        const Element* source = matrix.data + (there ? rows.first + lane : 0) * matrix.row_stride;
        Element* group = to + place.first + begin / place.together * place.group_stride + lane * place.together;
        for (index_t k = begin; k < end; k += place.together, group += place.group_stride) {
          for (index_t c = 0; c < place.together; ++c) {
            group[c] = there && k + c < matrix.columns ? source[(k + c) * matrix.column_stride] : Element{};
          }
        }
      }
    }
  }
}

// The parts of a unit block, as kernels/kernel_table.hpp has them.
struct BlockIn8Bits {
  BlockIn8Bits(const PackedForm& form, index_t columns, std::byte* block)
      : integers(reinterpret_cast<std::int8_t*>(block)),
        scales(reinterpret_cast<float*>(block + gate_count * form.lanes * form.stored(columns))),
        corrections(reinterpret_cast<std::int32_t*>(scales + gate_count * form.lanes)) {}

  std::int8_t* integers;
  float* scales;
  std::int32_t* corrections;
};

// The largest magnitude over 127, rounded up to 16 bits: all products with integers up to 127 are then exact, so that
// numbers that were rounded to 8 bits stay what they are when they are packed again.
float scale_of(const float* from, index_t count, index_t stride) {
  float largest = 0.0F;
  for (index_t k = 0; k < count; ++k) largest = std::max(largest, std::abs(from[k * stride]));
  int exponent = 0;
  const double mantissa = std::frexp(static_cast<double>(largest) / 127.0, &exponent);
  return static_cast<float>(std::ldexp(std::ceil(std::ldexp(mantissa, 16)), exponent - 16));
}

// The nearest one, ties to even.
std::int8_t integer_of(float value, float scale) {
  if (scale == 0.0F) return 0;
  constexpr float shift = 0x1.8p23F;  // numbers of this size are integers
  const float integer = (value / scale + shift) - shift;
  return static_cast<std::int8_t>(std::min(127.0F, std::max(-127.0F, integer)));
}

}  // namespace

index_t block_bytes(const PackedForm& form, index_t columns) {
  return gate_count * form.lanes * (form.stored(columns) * form.format.bytes + form.format.scale_bytes);
}

template <>
void pack_block(const MatrixView<const std::uint16_t>& matrix, const PackedForm& form, index_t block,
                std::uint16_t* to) {
  pack_lane_by_lane(matrix, form, block, to);
}

template <class Real>
void pack_block(const MatrixView<const Real>& matrix, const PackedForm& form, index_t block, Real* to) {
  if (matrix.column_stride != 1 || form.format.columns_of_group != 1) {
    pack_lane_by_lane(matrix, form, block, to);
    return;
  }
  for (index_t gate = 0; gate < gate_count; ++gate) {
    const GatePlace place(form, matrix.columns, gate);
    const Rows rows = rows_of(form, matrix.rows, block, gate);
    kernels::PackRows<Real> pack;
    pack.from = matrix.data + (rows.count > 0 ? rows.first : 0) * matrix.row_stride;
    pack.row_stride = matrix.row_stride;
    pack.row_count = rows.count;
    pack.size = matrix.columns;
    pack.to = to + place.first;
    pack.to_stride = place.group_stride;
    kernels_of<Real>(kernels::in_use()).pack_rows(pack);
  }
}

void pack_block_in_8_bits(const MatrixView<const float>& matrix, const PackedForm& form, index_t block, std::byte* to) {
  const index_t units = matrix.rows / gate_count;
  const BlockIn8Bits packed(form, matrix.columns, to);
  std::memset(to, 0, static_cast<std::size_t>(block_bytes(form, matrix.columns)));
  for (index_t gate = 0; gate < gate_count; ++gate) {
    for (index_t lane = 0; lane < std::min(form.lanes, units - block * form.lanes); ++lane) {
      const float* from = matrix.data + (gate * units + block * form.lanes + lane) * matrix.row_stride;
      const float scale = scale_of(from, matrix.columns, matrix.column_stride);
      const GatePlace place(form, matrix.columns, gate);
      std::int8_t* group = packed.integers + place.first + lane * place.together;
      std::int32_t sum = 0;
      for (index_t k = 0; k < matrix.columns; ++k) {
        const std::int8_t integer = integer_of(from[k * matrix.column_stride], scale);
        group[k / place.together * place.group_stride + k % place.together] = integer;
        sum += integer;
      }
      packed.scales[gate * form.lanes + lane] = scale;
      packed.corrections[gate * form.lanes + lane] = -128 * sum;
    }
  }
}

namespace {

// Where a row's weights begin.
struct RowPlace {
  RowPlace(const PackedForm& form, const MatrixRow& row) {
    const bool by_gates = form.order == RowOrder::gates;
    const index_t units = row.rows / gate_count;
    gate = by_gates ? row.index / units : row.index / form.lanes % gate_count;
    block = by_gates ? row.index % units / form.lanes : row.index / (gate_count * form.lanes);
    lane = (by_gates ? row.index % units : row.index) % form.lanes;
  }
  index_t gate, block, lane;
};

}  // namespace

template <class Element>
void unpack_row(const std::byte* packed, const PackedForm& form, const MatrixRow& row, Element* to) {
  const RowPlace at(form, row);
  const GatePlace place(form, row.columns, at.gate);
  const auto* block = reinterpret_cast<const Element*>(packed + at.block * block_bytes(form, row.columns));
  const Element* group = block + place.first + at.lane * place.together;
  for (index_t k = 0; k < row.columns; k += place.together, group += place.group_stride) {
    for (index_t c = 0; c < place.together && k + c < row.columns; ++c) to[k + c] = group[c];
  }
}

void unpack_row_of_8_bits(const std::byte* packed, const PackedForm& form, const MatrixRow& row, float* to) {
  const RowPlace at(form, row);
  const GatePlace place(form, row.columns, at.gate);
  const BlockIn8Bits block(form, row.columns,
                           const_cast<std::byte*>(packed) + at.block * block_bytes(form, row.columns));
  const float scale = block.scales[at.gate * form.lanes + at.lane];
  const std::int8_t* group = block.integers + place.first + at.lane * place.together;
  for (index_t k = 0; k < row.columns; ++k) {
    to[k] = static_cast<float>(group[k / place.together * place.group_stride + k % place.together]) * scale;
  }
}

template <class Real>
void pack_bias(const VectorView<const Real>& input_bias, const VectorView<const Real>& hidden_bias, index_t units,
               index_t lanes, Real* to) {
  const index_t blocks = (units + lanes - 1) / lanes;
  std::fill(to, to + blocks * gate_count * lanes, Real{0});
  for (const VectorView<const Real>* bias : {&input_bias, &hidden_bias}) {
    if (bias->data == nullptr) continue;
    for (index_t gate = 0; gate < gate_count; ++gate) {
      for (index_t unit = 0; unit < units; ++unit) {
        to[(unit / lanes * gate_count + gate) * lanes + unit % lanes] +=
            bias->data[(gate * units + unit) * bias->stride];
      }
    }
  }
}

void require_projectable(const StackSizes& sizes, const kernels::WeightFormat& format) {
  if (sizes.projects() && format.vector_bytes > 0) {
    throw std::invalid_argument("weights: a projection's vectors are not rounded");
  }
}

PackedLayout::PackedLayout(const StackSizes& sizes, const PackedForm& form, index_t element_bytes)
    : input_size_(sizes.input_size),
      cell_size_(sizes.cell_size),
      hidden_size_(sizes.output_size),
      directions_(sizes.num_directions),
      form_(form),
      blocks_((sizes.cell_size + form.lanes - 1) / form.lanes),
      output_blocks_(sizes.projects() ? form.blocks(sizes.output_size) : 0),
      element_bytes_(element_bytes),
      bytes_(0) {
  const index_t widest = std::max(input_size_, checked_product({directions_, hidden_size_}));
  // The projection has no more blocks than the units.
  const index_t projected = output_blocks_ > 0 ? checked_sum({cell_size_, index_t{64}}) : 0;
  const index_t columns = checked_sum({widest, hidden_size_, projected, index_t{64}});
  checked_product({sizes.num_layers, directions_, blocks_, gate_count, form.lanes, columns, element_bytes});
  bytes_ = first(sizes.num_layers * directions_);
}

index_t PackedLayout::panel_bytes(index_t blocks, index_t size) const {
  return whole_lines(blocks * block_bytes(form_, size));
}

index_t PackedLayout::bias_bytes(index_t blocks) const {
  return whole_lines(blocks * gate_count * form_.lanes * element_bytes_);
}

index_t PackedLayout::first(index_t cell) const {
  const index_t of_first_layer = std::min(cell, directions_);
  return of_first_layer * panel_bytes(input_size_) + (cell - of_first_layer) * panel_bytes(directions_ * hidden_size_) +
         cell * (panel_bytes(hidden_size_) + bias_bytes(blocks_) + panel_bytes(output_blocks_, cell_size_) +
                 bias_bytes(output_blocks_));
}

#define LSTM_NATIVE_INSTANTIATE(Element)                                                                     \
  template void pack_block<Element>(const MatrixView<const Element>&, const PackedForm&, index_t, Element*); \
  template void unpack_row<Element>(const std::byte*, const PackedForm&, const MatrixRow&, Element*);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
LSTM_NATIVE_INSTANTIATE(std::uint16_t)
#undef LSTM_NATIVE_INSTANTIATE
template void pack_bias<float>(const VectorView<const float>&, const VectorView<const float>&, index_t, index_t,
                               float*);
template void pack_bias<double>(const VectorView<const double>&, const VectorView<const double>&, index_t, index_t,
                                double*);

}  // namespace lstm_native::plan
