// plan: the tape: what a training call keeps for its backward pass, in one array of the call's element type.
//
// Layout, in elements of the call's type (documented for users in docs/reserve.md):
//   header                       32 elements: TapeHeader's bytes, then zeros
//   then for each layer, for each direction:
//     gates  (rows, 4, cell_size)  activated i, f, g, o; of a general cell their pre-activations, before a bound
//     cells  (rows, cell_size)     cell state after each step
//     hidden (rows, output_size)   where a projection makes it
// or, of a call whose backward pass computes the gates again, hidden (rows, output_size) in place of gates, and nothing
// behind the cell states;
//   and of a cell with peepholes, for each layer, for each direction:
//     initial (batch, cell_size)   cell state before the first step
// with rows = seq_len * batch (or the sum of batch_sizes) in time order.
#pragma once

#include <cstdint>

#include "common/types.hpp"
#include "plan/problem.hpp"

namespace lstm_native::plan {

// What a tape holds for each layer and direction: gates and cell states; hidden and cell states; or the workspace that
// LSTMGrad.data() hands to LSTMGrad.weights(): the gradients of the gates, and the hidden states before each step.
enum class TapeForm : std::uint32_t { gates = 0, hidden = 1, gradients = 2 };

struct TapeHeader {
  char magic[8];                // "LSTMTAPE"
  std::uint32_t version;        // of this layout
  std::uint32_t element_bytes;  // 4 or 8
  std::int64_t seq_len, batch, rows, input_size, cell_size, output_size, num_layers, num_directions;
  double dropout;
  std::uint64_t dropout_key, dropout_counter;
  std::int64_t elements;  // of the whole tape, this header included
  TapeForm form;
  std::uint32_t cell;  // a hash of the cells and their direction; 0: the standard cell, not reversed
};
// Both types have the same number of elements, so the tape's length does not depend on the type.
inline constexpr index_t tape_header_elements = 32;
static_assert(sizeof(TapeHeader) <= tape_header_elements * sizeof(float));

class TapeLayout {
 public:
  TapeLayout(const Problem& problem, index_t rows, TapeForm form = TapeForm::gates);

  index_t elements() const { return elements_; }
  // A tape of gates has hidden states only with a projection.
  index_t gates(index_t layer, index_t direction) const { return first(layer, direction); }
  index_t hidden(index_t layer, index_t direction) const {
    return projected_elements_ > 0 ? cells(layer, direction) + cells_elements_ : first(layer, direction);
  }
  index_t cells(index_t layer, index_t direction) const { return first(layer, direction) + first_elements_; }
  // Only of a cell with peepholes.
  index_t initial_cells(index_t layer, index_t direction) const {
    return elements_ - initial_elements_ * (states_ - (layer * directions_ + direction));
  }

 private:
  index_t first(index_t layer, index_t direction) const {
    return tape_header_elements +
           (layer * directions_ + direction) * (first_elements_ + cells_elements_ + projected_elements_);
  }

  index_t directions_;
  index_t first_elements_;  // gates or hidden states
  index_t cells_elements_;
  index_t projected_elements_;  // hidden states behind the cell states
  index_t states_;
  index_t initial_elements_;
  index_t elements_;
};

// The header's hash of a problem's cells.
std::uint32_t cell_fingerprint(const Problem& problem);

TapeHeader header_of(const Problem& problem, Dtype dtype, index_t rows, TapeForm form, std::uint64_t dropout_key,
                     std::uint64_t dropout_counter);

// At the beginning of a tape, with zeros behind it.
template <class Real>
void write_header(Real* tape, const Problem& problem, index_t rows, TapeForm form, std::uint64_t dropout_key,
                  std::uint64_t dropout_counter);

}  // namespace lstm_native::plan
