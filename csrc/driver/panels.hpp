// driver: a matrix packed in panels, as kernels/backward_arguments.hpp has them.
#pragma once

#include "common/interruption.hpp"
#include "common/views.hpp"
#include "plan/plan.hpp"

namespace lstm_native::driver {

// Rows `rows` of the matrix into to: [group of columns][row][column of the group], all of the matrix's rows in a group,
// zeros past the last column. Not all of them where the call is to end.
template <class Real>
void pack_panels(const MatrixView<const Real>& matrix, plan::Span rows, index_t group_columns, Real* to, Watch& watch);

}  // namespace lstm_native::driver
