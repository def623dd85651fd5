// driver: a matrix packed in panels (see kernels/backward_arguments.hpp).
#pragma once

#include "common/interruption.hpp"
#include "common/views.hpp"
#include "plan/plan.hpp"

namespace lstm_native::driver {

// Packs rows `rows` of the matrix into to: [group of columns][row][column of the group]. A group has all of the
// matrix's rows, and zeros past the last column. If the call is cancelled, some rows are missing.
template <class Real>
void pack_panels(const MatrixView<const Real>& matrix, plan::Span rows, index_t group_columns, Real* to,
                 CancellationPoll& poll);

}  // namespace lstm_native::driver
