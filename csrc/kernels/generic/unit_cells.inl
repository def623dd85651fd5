// kernels/generic: unit: finishes a tile of any cell after its products.

namespace {

#include "kernels/generic/finish.inl"

}  // namespace

template <class Real>
void CellUnit<Real>::finish(const StepForward<Real>& step, const MultipliedTile<Real>& tile) {
  with_cell<VectorArithmetic<Real>>(step.cell, [&](const auto& cell) { finish_tile(cell, step, tile); });
}

template struct CellUnit<float>;
template struct CellUnit<double>;
