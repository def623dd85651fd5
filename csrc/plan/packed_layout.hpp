// plan: where a stack's packed weights are. The order within a unit block belongs to its format
// (kernels/kernel_table.hpp).
#pragma once

#include <cstddef>

#include "common/types.hpp"
#include "common/views.hpp"
#include "plan/plan.hpp"

namespace lstm_native::plan {

// Which rows of a matrix are in which lanes.
enum class RowOrder {
  gates,       // of a matrix (4 * units, columns): a block has some units of each gate
  consecutive  // a block has 4 * lanes rows, its products are in their order: of a projection
};

// Unit blocks of a matrix with that many rows.
index_t blocks_of(const kernels::WeightFormat& format, index_t rows);

// Of one unit block, with what stands beside its weights.
index_t block_bytes(const kernels::WeightFormat& format, index_t columns);

template <class Real>
void pack_block(const kernels::StepKernels<Real>& kernels, const MatrixView<const Real>& matrix, RowOrder order,
                index_t block, void* to);

// Adds up to two biases (4 * units) into to: (unit block, gate, lane).
template <class Real>
void pack_bias(const VectorView<const Real>& input_bias, const VectorView<const Real>& hidden_bias, index_t units,
               index_t lanes, Real* to);

// One of a stack's matrices, (rows, columns), among its packed weights.
struct PackedMatrix {
  index_t offset;  // in bytes, from the first
  index_t rows;
  index_t columns;
  RowOrder order = RowOrder::gates;
};

// The reverse of packing, for one row; to is (columns). stack: all packed weights.
template <class Real>
void unpack_row(const kernels::StepKernels<Real>& kernels, const std::byte* stack, const PackedMatrix& matrix,
                index_t row, Real* to);

// All parts of a stack's packed weights, each on cache lines of its own; in bytes from the first.
class PackedLayout {
 public:
  PackedLayout(const StackSizes& sizes, const kernels::WeightFormat& format, index_t element_bytes, bool peepholes);

  index_t bytes() const { return bytes_; }
  // cell = layer * directions + direction
  PackedMatrix input(index_t cell) const { return {first(cell), gate_rows(), input_size(cell)}; }
  PackedMatrix hidden(index_t cell) const { return {end_of(input(cell)), gate_rows(), sizes_.output_size}; }
  index_t bias(index_t cell) const { return end_of(hidden(cell)); }
  index_t peephole(index_t cell) const { return bias(cell) + bias_bytes(gate_rows()); }
  // Without a projection it is empty.
  PackedMatrix projection(index_t cell) const {
    return {peephole(cell) + peephole_bytes_, projected_rows(), sizes_.cell_size, RowOrder::consecutive};
  }
  index_t projection_bias(index_t cell) const { return end_of(projection(cell)); }  // zeros
  index_t end(index_t cell) const { return projection_bias(cell) + bias_bytes(projected_rows()); }

 private:
  index_t gate_rows() const { return gate_count * sizes_.cell_size; }
  index_t projected_rows() const { return sizes_.projects() ? sizes_.output_size : 0; }
  index_t input_size(index_t cell) const;
  index_t first(index_t cell) const;
  index_t end_of(const PackedMatrix& matrix) const;
  index_t bias_bytes(index_t rows) const;

  StackSizes sizes_;
  const kernels::WeightFormat& format_;
  index_t element_bytes_, peephole_bytes_, bytes_;
};

}  // namespace lstm_native::plan
