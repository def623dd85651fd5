// bindings: plain weights as drivers read them.
#pragma once

#include <pybind11/numpy.h>

#include <vector>

#include "bindings/description.hpp"
#include "driver/cell_weights.hpp"
#include "plan/problem.hpp"

namespace lstm_native::bindings {

// Returns views of each cell's arrays. Throws std::invalid_argument unless the arrays fit the problem. Copies peepholes
// with gaps, into `arrays`.
template <class Real>
std::vector<driver::CellWeights<Real>> views_of(const plan::Problem& problem, std::vector<CellArrays>& arrays);

// Replaces a matrix by a copy in C order, and its view by that of the copy.
template <class Real>
void copy_matrix(py::object& array, MatrixView<const Real>& view);

}  // namespace lstm_native::bindings
