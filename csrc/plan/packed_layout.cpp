#include "plan/packed_layout.hpp"

#include <algorithm>

#include "common/aligned_buffer.hpp"
#include "common/ceil_div.hpp"
#include "common/checked_size.hpp"

namespace lstm_native::plan {
namespace {

constexpr index_t whole_lines(index_t bytes) {
  constexpr auto line = static_cast<index_t>(cache_line_bytes);
  return ceil_div(bytes, line) * line;
}

// A lane of a block.
struct Lane {
  index_t block, gate, lane;
};

Lane lane_of(const kernels::WeightFormat& format, const PackedMatrix& matrix, index_t row) {
  if (matrix.order == RowOrder::consecutive) {
    return {row / (gate_count * format.lanes), row / format.lanes % gate_count, row % format.lanes};
  }
  const index_t units = matrix.rows / gate_count;
  return {row % units / format.lanes, row / units, row % units % format.lanes};
}

}  // namespace

index_t blocks_of(const kernels::WeightFormat& format, index_t rows) {
  return ceil_div(rows, gate_count * format.lanes);
}

index_t block_bytes(const kernels::WeightFormat& format, index_t columns) {
  const index_t together = format.columns_of_group;
  const index_t stored = (columns + together - 1) / together * together;
  return gate_count * format.lanes * (stored * format.bytes + format.scale_bytes);
}

template <class Real>
void pack_block(const kernels::StepKernels<Real>& kernels, const MatrixView<const Real>& matrix, RowOrder order,
                index_t block, void* to) {
  kernels::PackBlock<Real> pack;
  pack.from = matrix.data;
  pack.row_stride = matrix.row_stride;
  pack.column_stride = matrix.column_stride;
  pack.columns = matrix.columns;
  pack.to = to;
  const index_t lanes = kernels.format.lanes;
  const index_t rows_of_gate = order == RowOrder::gates ? matrix.rows / gate_count : matrix.rows;
  for (index_t gate = 0; gate < gate_count; ++gate) {
    const index_t before = order == RowOrder::gates ? block * lanes : (block * gate_count + gate) * lanes;
    pack.first_row[gate] = before + (order == RowOrder::gates ? gate * rows_of_gate : 0);
    pack.row_count[gate] = std::clamp(rows_of_gate - before, index_t{0}, lanes);
  }
  kernels.pack(pack);
}

template <class Real>
void unpack_row(const kernels::StepKernels<Real>& kernels, const std::byte* stack, const PackedMatrix& matrix,
                index_t row, Real* to) {
  const Lane at = lane_of(kernels.format, matrix, row);
  const std::byte* block = stack + matrix.offset + at.block * block_bytes(kernels.format, matrix.columns);
  kernels.unpack({block, at.gate, at.lane, matrix.columns, to});
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

PackedLayout::PackedLayout(const StackSizes& sizes, const kernels::WeightFormat& format, index_t element_bytes,
                           bool peepholes)
    : sizes_(sizes),
      format_(format),
      element_bytes_(element_bytes),
      peephole_bytes_(peepholes ? whole_lines(checked_product({peephole_count, sizes.cell_size, element_bytes})) : 0),
      bytes_(0) {
  const index_t widest = std::max(sizes.input_size, checked_product({sizes.num_directions, sizes.output_size}));
  // The projection has no more blocks than the units; biases and peepholes are some columns more.
  const index_t projected = sizes.projects() ? sizes.cell_size : 0;
  const index_t columns = checked_sum({widest, sizes.output_size, projected, index_t{256}});
  checked_product({sizes.num_layers, sizes.num_directions, blocks_of(format, gate_rows()), gate_count, format.lanes,
                   columns, element_bytes});
  bytes_ = first(sizes.num_layers * sizes.num_directions);
}

index_t PackedLayout::input_size(index_t cell) const {
  return cell < sizes_.num_directions ? sizes_.input_size : sizes_.num_directions * sizes_.output_size;
}

// The layers from the second on are alike.
index_t PackedLayout::first(index_t cell) const {
  const index_t directions = sizes_.num_directions;
  if (cell == 0) return 0;
  if (cell <= directions) return cell * end(0);
  return directions * end(0) + (cell - directions) * (end(directions) - first(directions));
}

index_t PackedLayout::end_of(const PackedMatrix& matrix) const {
  return matrix.offset + whole_lines(blocks_of(format_, matrix.rows) * block_bytes(format_, matrix.columns));
}

index_t PackedLayout::bias_bytes(index_t rows) const {
  return whole_lines(blocks_of(format_, rows) * gate_count * format_.lanes * element_bytes_);
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                                 \
  template void pack_block<Real>(const kernels::StepKernels<Real>&, const MatrixView<const Real>&, RowOrder, index_t, \
                                 void*);                                                                              \
  template void unpack_row<Real>(const kernels::StepKernels<Real>&, const std::byte*, const PackedMatrix&, index_t,   \
                                 Real*);                                                                              \
  template void pack_bias<Real>(const VectorView<const Real>&, const VectorView<const Real>&, index_t, index_t, Real*);
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::plan
