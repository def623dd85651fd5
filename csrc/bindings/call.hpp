// bindings: one call, with its arrays as the caller has them, and the views of them that drivers read.
#pragma once

#include <pybind11/numpy.h>

#include <array>
#include <optional>
#include <vector>

#include "bindings/arrays.hpp"
#include "bindings/description.hpp"
#include "driver/packed_weights.hpp"
#include "plan/plan.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::bindings {

// Where in a flat weight each array of a cell begins (w_ih, w_hh, b_ih, b_hh, peephole, w_hr); -1: there is none.
using CellOffsets = std::array<index_t, 6>;

// The weights of a call: packed, or one array each, or all in one flat array in C order.
struct CallWeights {
  const driver::PackedWeights* packed = nullptr;
  std::vector<CellArrays> cells;
  py::object flat;
  const std::vector<CellOffsets>* offsets = nullptr;  // in the flat array
  py::object owner;                                   // owns the packed weights or the offsets
};

struct Call {
  Description about;
  py::array input, hidden_initial, cell_initial;
  CallWeights weights;
  bool batch_first = false;              // of input and output, unless the sequence is packed
  std::optional<plan::TapeForm> tape{};  // what is kept
};

// Reads a `_run.ForwardCall` without a target.
Call call_of(py::handle call);

// Makes the plan of a call, and moves the call's problem into it. dtype: of its input.
plan::Plan plan_of(Call& call, Dtype dtype, bool to_run = true);

// How a sequence is read: the plan of the call, the order of the axes, and the width.
struct SequenceShape {
  const plan::Plan& plan;
  bool batch_first;
  index_t width;
};

// Views of callers' arrays. Throw std::invalid_argument unless the arrays have the shape, and rows without gaps.
template <class Real>
SequenceView<const Real> sequence_of(const SequenceShape& shape, const py::array& array, const char* name);
template <class Real>
StateView<const Real> states_of(const plan::Plan& plan, const py::array& array, index_t units, const char* name);

// A new array for a sequence, and its view. Not initialised.
template <class Real>
struct NewSequence {
  NewSequence(const SequenceShape& shape, const char* name);  // MemoryError names the array
  py::array array;
  SequenceView<Real> view;
};

// Views of a call's weights, packed or not. Copies each matrix that its path can't read, into `weights`; the view then
// refers to the copy.
template <class Real>
class CellViews {
 public:
  CellViews(const plan::Plan& plan, CallWeights& weights);
  const driver::CellWeights<Real>* data() const { return data_; }

 private:
  std::vector<driver::CellWeights<Real>> own_;
  const driver::CellWeights<Real>* data_;
};

// The bytes of the matrices that CellViews would copy.
index_t copied_bytes(const plan::Plan& plan, CallWeights& weights);

}  // namespace lstm_native::bindings
