// plan: weights in the order that the step kernels read them in (see kernels/kernel_table.hpp), with their owner.
#pragma once

#include "common/aligned_buffer.hpp"
#include "common/types.hpp"
#include "common/views.hpp"
#include "plan/plan.hpp"

namespace lstm_native::plan {

// Packs one unit block of a matrix (4 * units, size): to is (gate pair, size, gate, lane). Lanes past the last unit
// become zeros.
template <class Element>
void pack_block(const MatrixView<const Element>& matrix, index_t lanes, index_t block, Element* to);

// The reverse, for one row of a matrix that is packed block after block; to is (size).
template <class Element>
void unpack_row(const Element* packed, index_t gate, index_t unit, index_t size, index_t lanes, Element* to);

// Adds up to two biases (4 * units) into to: (unit block, gate, lane).
template <class Real>
void pack_bias(const VectorView<const Real>& input_bias, const VectorView<const Real>& hidden_bias, index_t units,
               index_t lanes, Real* to);

// Sizes of a whole stack, and where each part of its packed weights lies, in bytes from the first.
class PackedLayout {
 public:
  PackedLayout(index_t input_size, index_t hidden_size, index_t num_layers, index_t num_directions, index_t lanes,
               index_t element_bytes, index_t weight_bytes);

  index_t lanes() const { return lanes_; }
  index_t bytes() const { return bytes_; }
  // cell = layer * directions + direction
  index_t input(index_t cell) const { return first(cell); }
  index_t hidden(index_t cell) const { return input(cell) + panel_bytes(cell_input_size(cell)); }
  index_t bias(index_t cell) const { return hidden(cell) + panel_bytes(hidden_size_); }
  index_t cell_input_size(index_t cell) const { return cell < directions_ ? input_size_ : directions_ * hidden_size_; }

 private:
  index_t first(index_t cell) const;
  index_t panel_bytes(index_t size) const;
  index_t bias_bytes() const;

  index_t input_size_, hidden_size_, directions_, lanes_, blocks_, element_bytes_, weight_bytes_, bytes_;
};

}  // namespace lstm_native::plan
