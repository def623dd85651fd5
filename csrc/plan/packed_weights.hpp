// plan: weights in the order that the step kernels read them in (see kernels/kernel_table.hpp), with their owner.
#pragma once

#include <cstddef>

#include "common/aligned_buffer.hpp"
#include "common/types.hpp"
#include "common/views.hpp"
#include "plan/plan.hpp"

namespace lstm_native::plan {

// Which rows of a matrix are in which lanes.
enum class RowOrder {
  gates,       // of a matrix (4 * units, columns): a block has some units of each gate
  consecutive  // a block has 4 * lanes rows, its products are in their order: of a projection
};

// How a matrix's weights are packed.
struct PackedForm {
  index_t lanes;  // units of a block
  kernels::WeightFormat format;
  RowOrder order = RowOrder::gates;

  PackedForm with(RowOrder rows) const { return {lanes, format, rows}; }
  index_t blocks(index_t rows) const { return (rows + gate_count * lanes - 1) / (gate_count * lanes); }

  // The columns in memory: those of the matrix, and zeros up to a whole group.
  index_t stored(index_t columns) const {
    const index_t together = format.columns_of_group;
    return (columns + together - 1) / together * together;
  }
};

// Of one unit block, with what stands beside its weights.
index_t block_bytes(const PackedForm& form, index_t columns);

// A row of a matrix (rows, columns).
struct MatrixRow {
  index_t index;
  index_t rows;
  index_t columns;
};

// Packs one block of a matrix (rows, columns), from its own memory's type.
template <class Element>
void pack_block(const MatrixView<const Element>& matrix, const PackedForm& form, index_t block, Element* to);

// The same in the element's own format.
template <class Real>
void pack_block(const MatrixView<const Real>& matrix, index_t lanes, index_t block, Real* to) {
  pack_block(matrix, PackedForm{lanes, {static_cast<index_t>(sizeof(Real))}}, block, to);
}

// Rounds it to integers of at most 127 times a scale, of each gate of a unit. No value may be infinite or NaN. In the
// order of gates.
void pack_block_in_8_bits(const MatrixView<const float>& matrix, const PackedForm& form, index_t block, std::byte* to);

// The reverse, for one row of a matrix whose blocks are packed one after the other; to is (columns).
template <class Element>
void unpack_row(const std::byte* packed, const PackedForm& form, const MatrixRow& row, Element* to);
void unpack_row_of_8_bits(const std::byte* packed, const PackedForm& form, const MatrixRow& row, float* to);

// Adds up to two biases (4 * units) into to: (unit block, gate, lane).
template <class Real>
void pack_bias(const VectorView<const Real>& input_bias, const VectorView<const Real>& hidden_bias, index_t units,
               index_t lanes, Real* to);

// std::invalid_argument where a projection is not computed with weights of this format.
void require_projectable(const StackSizes& sizes, const kernels::WeightFormat& format);

// Sizes of a whole stack, and where each part of its packed weights lies, in bytes from the first.
class PackedLayout {
 public:
  PackedLayout(const StackSizes& sizes, const PackedForm& form, index_t element_bytes);

  const PackedForm& form() const { return form_; }
  index_t bytes() const { return bytes_; }
  // cell = layer * directions + direction
  index_t input(index_t cell) const { return first(cell); }
  index_t hidden(index_t cell) const { return input(cell) + panel_bytes(cell_input_size(cell)); }
  index_t bias(index_t cell) const { return hidden(cell) + panel_bytes(hidden_size_); }
  index_t projection(index_t cell) const { return bias(cell) + bias_bytes(blocks_); }
  index_t projection_bias(index_t cell) const { return first(cell + 1) - bias_bytes(output_blocks_); }  // zeros
  index_t cell_input_size(index_t cell) const { return cell < directions_ ? input_size_ : directions_ * hidden_size_; }

 private:
  index_t first(index_t cell) const;
  index_t panel_bytes(index_t size) const { return panel_bytes(blocks_, size); }
  index_t panel_bytes(index_t blocks, index_t size) const;
  index_t bias_bytes(index_t blocks) const;

  index_t input_size_, cell_size_, hidden_size_, directions_;
  PackedForm form_;
  index_t blocks_, output_blocks_, element_bytes_, bytes_;
};

}  // namespace lstm_native::plan
