#include "plan/packed_weights.hpp"

#include <algorithm>

#include "common/checked_size.hpp"
#include "kernels/dispatch.hpp"

namespace lstm_native::plan {
namespace {

constexpr index_t whole_lines(index_t bytes) {
  constexpr auto line = static_cast<index_t>(cache_line_bytes);
  return (bytes + line - 1) / line * line;
}

constexpr index_t pair_gates = 2;

// Where a gate's first weight lies within its unit block.
constexpr index_t packed_gate(index_t gate, index_t size, index_t lanes) {
  return (gate / pair_gates * size * pair_gates + gate % pair_gates) * lanes;
}

template <class Element>
void pack_lane_by_lane(const MatrixView<const Element>& matrix, index_t lanes, index_t block, Element* to) {
  // Columns in short runs, so that what is written stays in the L1 cache until its lines are full.
  constexpr index_t run = 64;
  const index_t units = matrix.rows / gate_count;
  const index_t first_unit = block * lanes;
  for (index_t begin = 0; begin < matrix.columns; begin += run) {
    const index_t end = std::min(begin + run, matrix.columns);
    for (index_t gate = 0; gate < gate_count; ++gate) {
      for (index_t lane = 0; lane < lanes; ++lane) {
        Element* target = to + packed_gate(gate, matrix.columns, lanes) + lane;
        if (first_unit + lane >= units) {
          for (index_t k = begin; k < end; ++k) target[k * pair_gates * lanes] = Element{};
          continue;
        }
        const Element* source = matrix.data + (gate * units + first_unit + lane) * matrix.row_stride;
        for (index_t k = begin; k < end; ++k) target[k * pair_gates * lanes] = source[k * matrix.column_stride];
      }
    }
  }
}

}  // namespace

template <>
void pack_block(const MatrixView<const std::uint16_t>& matrix, index_t lanes, index_t block, std::uint16_t* to) {
  pack_lane_by_lane(matrix, lanes, block, to);
}

template <class Real>
void pack_block(const MatrixView<const Real>& matrix, index_t lanes, index_t block, Real* to) {
  if (matrix.column_stride != 1) {
    pack_lane_by_lane(matrix, lanes, block, to);
    return;
  }
  const index_t units = matrix.rows / gate_count;
  for (index_t gate = 0; gate < gate_count; ++gate) {
    kernels::PackRows<Real> pack;
    pack.from = matrix.data + (gate * units + block * lanes) * matrix.row_stride;
    pack.row_stride = matrix.row_stride;
    pack.row_count = std::min(lanes, units - block * lanes);
    pack.size = matrix.columns;
    pack.to = to + packed_gate(gate, matrix.columns, lanes);
    pack.to_stride = pair_gates * lanes;
    kernels_of<Real>(kernels::in_use()).pack_rows(pack);
  }
}

template <class Element>
void unpack_row(const Element* packed, index_t gate, index_t unit, index_t size, index_t lanes, Element* to) {
  const Element* from =
      packed + unit / lanes * size * gate_count * lanes + packed_gate(gate, size, lanes) + unit % lanes;
  for (index_t k = 0; k < size; ++k) to[k] = from[k * pair_gates * lanes];
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

PackedLayout::PackedLayout(index_t input_size, index_t hidden_size, index_t num_layers, index_t num_directions,
                           index_t lanes, index_t element_bytes, index_t weight_bytes)
    : input_size_(input_size),
      hidden_size_(hidden_size),
      directions_(num_directions),
      lanes_(lanes),
      blocks_((hidden_size + lanes - 1) / lanes),
      element_bytes_(element_bytes),
      weight_bytes_(weight_bytes),
      bytes_(0) {
  const index_t widest = std::max(input_size, checked_product({num_directions, hidden_size}));
  const index_t columns = checked_sum({widest, hidden_size, index_t{64}});
  checked_product({num_layers, num_directions, blocks_, gate_count, lanes, columns, element_bytes});
  bytes_ = first(num_layers * num_directions);
}

index_t PackedLayout::panel_bytes(index_t size) const {
  return whole_lines(blocks_ * gate_count * lanes_ * size * weight_bytes_);
}

index_t PackedLayout::bias_bytes() const { return whole_lines(blocks_ * gate_count * lanes_ * element_bytes_); }

index_t PackedLayout::first(index_t cell) const {
  const index_t of_first_layer = std::min(cell, directions_);
  return of_first_layer * panel_bytes(input_size_) + (cell - of_first_layer) * panel_bytes(directions_ * hidden_size_) +
         cell * (panel_bytes(hidden_size_) + bias_bytes());
}

#define LSTM_NATIVE_INSTANTIATE(Element)                                                           \
  template void pack_block<Element>(const MatrixView<const Element>&, index_t, index_t, Element*); \
  template void unpack_row<Element>(const Element*, index_t, index_t, index_t, index_t, Element*);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
LSTM_NATIVE_INSTANTIATE(std::uint16_t)
#undef LSTM_NATIVE_INSTANTIATE
template void pack_bias<float>(const VectorView<const float>&, const VectorView<const float>&, index_t, index_t,
                               float*);
template void pack_bias<double>(const VectorView<const double>&, const VectorView<const double>&, index_t, index_t,
                                double*);

}  // namespace lstm_native::plan
