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

// Packed, or an array each, or all in one flat array in C order.
struct CallWeights {
  const driver::PackedWeights* packed = nullptr;
  std::vector<CellArrays> cells;
  py::object flat;
  const std::vector<CellOffsets>* offsets = nullptr;  // in the flat array
  py::object owner;                                   // of the packed weights or the offsets
};

struct Call {
  Description about;
  py::array input, hidden_initial, cell_initial;
  CallWeights weights;
  bool batch_first = false;              // of input and output, unless the sequence is packed
  std::optional<plan::TapeForm> tape{};  // what is kept
};

// Of a `_run.ForwardCall` without a target.
Call call_of(py::handle call);

// Takes the call's problem. dtype: of its input.
plan::Plan plan_of(Call& call, Dtype dtype, bool to_run = true);

// Who reads a sequence, in which order of axes, and its width.
struct SequenceShape {
  const plan::Plan& plan;
  bool batch_first;
  index_t width;
};

// Views of callers' arrays; std::invalid_argument unless these have the shape, and rows without gaps.
template <class Real>
SequenceView<const Real> sequence_of(const SequenceShape& shape, const py::array& array, const char* name);
template <class Real>
StateView<const Real> states_of(const plan::Plan& plan, const py::array& array, index_t units, const char* name);

// A new array for a sequence, and its view. Not initialised.
template <class Real>
struct NewSequence {
  NewSequence(const SequenceShape& shape, const char* name);  // MemoryError names it
  py::array array;
  SequenceView<Real> view;
};

// Views of a call's weights, packed or not. Matrices that their path can't read are copied: into `weights`, whose
// memory the views then refer to.
template <class Real>
class CellViews {
 public:
  CellViews(const plan::Plan& plan, CallWeights& weights);
  const driver::CellWeights<Real>* data() const { return data_; }

 private:
  std::vector<driver::CellWeights<Real>> own_;
  const driver::CellWeights<Real>* data_;
};

// Bytes of the matrices that it would copy.
index_t copied_bytes(const plan::Plan& plan, CallWeights& weights);

}  // namespace lstm_native::bindings
