// kernels/generic: unit: finishes a tile of several rows of the standard cell after its products.

namespace {

#include "kernels/generic/finish.inl"

}  // namespace

template <class Real, int rows>
void TileUnit<Real, rows>::finish(const StepForward<Real>& step, const StepRow<Real>* row, index_t block,
                                  Real* products) {
  finish_rows<StandardCell<VectorArithmetic<Real>>, Real, rows, 1>(step, row, block, products);
}

// Tiles are at most 2 * tile_rows high.
static_assert(2 * tile_rows <= 12, "the list below ends too early");
#define LSTM_NATIVE_TILE(rows)           \
  template struct TileUnit<float, rows>; \
  template struct TileUnit<double, rows>;
LSTM_NATIVE_TILE(2)
LSTM_NATIVE_TILE(3)
LSTM_NATIVE_TILE(4)
LSTM_NATIVE_TILE(5)
LSTM_NATIVE_TILE(6)
LSTM_NATIVE_TILE(7)
LSTM_NATIVE_TILE(8)
LSTM_NATIVE_TILE(9)
LSTM_NATIVE_TILE(10)
LSTM_NATIVE_TILE(11)
LSTM_NATIVE_TILE(12)
