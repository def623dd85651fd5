#include "driver/packed_weights.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "common/float_control.hpp"
#include "kernels/dispatch.hpp"

namespace lstm_native::driver {
namespace {

template <class Real>
const kernels::StepKernels<Real>& step_kernels(int format) {
  return plan::kernels_of<Real>(kernels::in_use()).formats[format];
}

}  // namespace

template <class Real>
PackedWeights::PackedWeights(const plan::StackSizes& sizes, int format, const std::array<CellSpec, 2>& specs,
                             const std::vector<CellWeights<Real>>& plain, Interruption& interruption)
    : sizes_(sizes),
      dtype_(dtype_of<Real>),
      format_(format),
      specs_(specs),
      layout_(sizes, step_kernels<Real>(format).format, sizeof(Real), specs[0].peepholes),
      memory_(layout_.bytes()) {
  const FloatControl control(/*flush=*/false);  // subnormal weights stay what they are
  CancellationPoll poll(interruption, /*asks=*/true);
  std::vector<CellWeights<Real>> cells;
  for (const CellWeights<Real>& from : plain) {
    const auto cell = static_cast<index_t>(cells.size());
    pack(cell, from, poll);
    if (interruption.requested()) return;
    cells.push_back(packed_cell<Real>(cell));
  }
  if constexpr (dtype_of<Real> == Dtype::float32) {
    float32_cells_ = std::move(cells);
  } else {
    float64_cells_ = std::move(cells);
  }
}

template <class Real>
void PackedWeights::pack_matrix(const MatrixView<const Real>& matrix, const plan::PackedMatrix& place,
                                CancellationPoll& poll) {
  const kernels::StepKernels<Real>& kernels = step_kernels<Real>(format_);
  const index_t bytes = plan::block_bytes(kernels.format, place.columns);
  for (index_t block = 0; block < plan::blocks_of(kernels.format, place.rows); ++block) {
    if (poll.cancelled(gate_count * kernels.format.lanes * place.columns)) return;
    plan::pack_block(kernels, matrix, place.order, block, memory_.data() + place.offset + block * bytes);
  }
}

template <class Real>
void PackedWeights::pack(index_t cell, const CellWeights<Real>& plain, CancellationPoll& poll) {
  std::byte* const memory = memory_.data();
  // The gaps behind the parts are zeros, too.
  for (const index_t end : {layout_.hidden(cell).offset, layout_.bias(cell), layout_.peephole(cell),
                            layout_.projection(cell).offset, layout_.projection_bias(cell), layout_.end(cell)}) {
    std::memset(memory + end - cache_line_bytes, 0, cache_line_bytes);
  }
  pack_matrix(plain.input, layout_.input(cell), poll);
  pack_matrix(plain.hidden, layout_.hidden(cell), poll);
  plan::pack_bias(plain.input_bias, plain.hidden_bias, sizes_.cell_size, step_kernels<Real>(format_).format.lanes,
                  reinterpret_cast<Real*>(memory + layout_.bias(cell)));
  if (specs_[0].peepholes) {
    std::copy_n(plain.peephole, peephole_count * sizes_.cell_size,
                reinterpret_cast<Real*>(memory + layout_.peephole(cell)));
  }
  pack_matrix(plain.projection, layout_.projection(cell), poll);
  std::fill(memory + layout_.projection_bias(cell), memory + layout_.end(cell), std::byte{0});
}

template <class Real>
CellWeights<Real> PackedWeights::packed_cell(index_t cell) const {
  const auto vector_at = [&](index_t offset) { return reinterpret_cast<const Real*>(memory_.data() + offset); };
  CellWeights<Real> packed;
  packed.input_panels = memory_.data() + layout_.input(cell).offset;
  packed.hidden_panels = memory_.data() + layout_.hidden(cell).offset;
  packed.bias_panel = vector_at(layout_.bias(cell));
  if (specs_[0].peepholes) packed.peephole = vector_at(layout_.peephole(cell));
  if (sizes_.projects()) {
    packed.projection_panels = memory_.data() + layout_.projection(cell).offset;
    packed.projection_bias = vector_at(layout_.projection_bias(cell));
  }
  return packed;
}

template <>
const std::vector<CellWeights<float>>& PackedWeights::cells<float>() const {
  return float32_cells_;
}
template <>
const std::vector<CellWeights<double>>& PackedWeights::cells<double>() const {
  return float64_cells_;
}

void PackedWeights::require_peepholes(const std::array<CellSpec, 2>& specs) const {
  if (specs[0].peepholes != specs_[0].peepholes) throw std::invalid_argument("peephole: not as the cell says");
}

template <class Real>
const CellWeights<Real>* PackedWeights::cells_for(const plan::Problem& problem) const {
  if (dtype_ != dtype_of<Real>) throw std::invalid_argument("input: not of the packed weights' dtype");
  if (sizes_.input_size != problem.input_size || sizes_.cell_size != problem.cell_size ||
      sizes_.output_size != problem.output_size || sizes_.num_layers != problem.num_layers ||
      sizes_.num_directions != problem.num_directions) {
    throw std::invalid_argument("input, states: not of the packed weights' sizes");
  }
  require_peepholes(problem.cells);
  return cells<Real>().data();
}

plan::Problem PackedWeights::step_problem(index_t batch, int threads, const std::array<CellSpec, 2>& specs) const {
  if (sizes_.num_directions != 1) throw std::invalid_argument("packed: a stream has one direction");
  plan::Problem problem = plan::problem_of(sizes_, {/*seq_len=*/1, batch}, /*dropout=*/0.0, threads);
  problem.cells = specs;
  require_peepholes(specs);
  return problem;
}

template <class Real>
void PackedWeights::unpack(const plan::PackedMatrix& matrix, Real* to, Interruption& interruption) const {
  CancellationPoll poll(interruption, /*asks=*/true);
  const kernels::StepKernels<Real>& kernels = step_kernels<Real>(format_);
  const index_t work = matrix.columns * kernels.format.lanes;  // each element is on a cache line of its own
  for (index_t row = 0; row < matrix.rows && !poll.cancelled(work); ++row) {
    plan::unpack_row(kernels, memory_.data(), matrix, row, to + row * matrix.columns);
  }
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                 \
  template PackedWeights::PackedWeights(const plan::StackSizes&, int, const std::array<CellSpec, 2>&, \
                                        const std::vector<CellWeights<Real>>&, Interruption&);        \
  template const CellWeights<Real>* PackedWeights::cells_for<Real>(const plan::Problem&) const;       \
  template void PackedWeights::unpack<Real>(const plan::PackedMatrix&, Real*, Interruption&) const;
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::driver
