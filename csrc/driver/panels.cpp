#include "driver/panels.hpp"

#include <algorithm>

#include "common/ceil_div.hpp"

namespace lstm_native::driver {

template <class Real>
void pack_panels(const MatrixView<const Real>& matrix, plan::Span rows, index_t group_columns, Real* to,
                 CancellationPoll& poll) {
  const index_t groups = ceil_div(matrix.columns, group_columns);
  for (index_t k = rows.begin; k < rows.end; ++k) {
    if (poll.cancelled(matrix.columns)) return;
    for (index_t group = 0; group < groups; ++group) {
      Real* target = to + (group * matrix.rows + k) * group_columns;
      const Real* from = matrix.data + k * matrix.row_stride + group * group_columns * matrix.column_stride;
      const index_t count = std::min(group_columns, matrix.columns - group * group_columns);
      if (matrix.column_stride == 1) {
        std::copy(from, from + count, target);
      } else {
        for (index_t c = 0; c < count; ++c) target[c] = from[c * matrix.column_stride];
      }
      std::fill(target + count, target + group_columns, Real{0});
    }
  }
}

template void pack_panels<float>(const MatrixView<const float>&, plan::Span, index_t, float*, CancellationPoll&);
template void pack_panels<double>(const MatrixView<const double>&, plan::Span, index_t, double*, CancellationPoll&);

}  // namespace lstm_native::driver
