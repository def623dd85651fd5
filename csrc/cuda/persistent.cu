#include "cuda/persistent.hpp"

namespace lstm_native::cuda {
namespace {

template <class Real>
void launch_together(cudaStream_t stream, dim3 grid, void (*kernel)(PersistentLayer<Real>),
                     const PersistentLayer<Real>& layer) {
  const auto bytes = static_cast<std::size_t>(layer.split.shared_elements()) * sizeof(Real);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "cudaFuncSetAttribute");
  cudaLaunchAttribute together = {};
  together.id = cudaLaunchAttributeCooperative;
  together.val.cooperative = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(layer.split.threads()));
  config.dynamicSmemBytes = bytes;
  config.stream = stream;
  config.attrs = &together;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, kernel, layer), "launch of a layer");
}

}  // namespace

template <class Real>
void launch_layer(cudaStream_t stream, const PersistentLayer<Real>& layer, index_t directions) {
  const dim3 grid(static_cast<unsigned>(layer.split.unit_blocks), static_cast<unsigned>(layer.split.row_blocks),
                  static_cast<unsigned>(directions));
  switch (layer.split.rows_per_thread) {
    case 1:
      return launch_together(stream, grid, layer_forward<Real, 1>, layer);
    case 2:
      return launch_together(stream, grid, layer_forward<Real, 2>, layer);
    case 4:
      return launch_together(stream, grid, layer_forward<Real, 4>, layer);
    default:
      return launch_together(stream, grid, layer_forward<Real, 8>, layer);
  }
}

template void launch_layer<float>(cudaStream_t, const PersistentLayer<float>&, index_t);
template void launch_layer<double>(cudaStream_t, const PersistentLayer<double>&, index_t);

}  // namespace lstm_native::cuda
