#include <type_traits>

#include "cuda/persistent.hpp"

namespace lstm_native::cuda {
namespace {

template <class Layer>
void launch_together(cudaStream_t stream, index_t directions, std::size_t element_bytes, void (*kernel)(Layer),
                     const Layer& layer) {
  const PersistentSplit& split = layer.split;
  const auto bytes = static_cast<std::size_t>(split.shared_elements()) * element_bytes;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "cudaFuncSetAttribute");
  cudaLaunchAttribute together = {};
  together.id = cudaLaunchAttributeCooperative;
  together.val.cooperative = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(split.unit_blocks), static_cast<unsigned>(split.row_blocks),
                        static_cast<unsigned>(directions));
  config.blockDim = dim3(static_cast<unsigned>(split.threads()));
  config.dynamicSmemBytes = bytes;
  config.stream = stream;
  config.attrs = &together;
  config.numAttrs = 1;
  check(cudaLaunchKernelEx(&config, kernel, layer), "launch of a layer");
}

// Calls body with the number of rows per thread as a constant.
template <class Body>
void with_rows_per_thread(const PersistentSplit& split, const Body& body) {
  switch (split.rows_per_thread) {
    case 1:
      return body(std::integral_constant<int, 1>{});
    case 2:
      return body(std::integral_constant<int, 2>{});
    case 4:
      return body(std::integral_constant<int, 4>{});
    default:
      return body(std::integral_constant<int, 8>{});
  }
}

}  // namespace

template <class Real>
void launch_layer(cudaStream_t stream, const ForwardLayer<Real>& layer, index_t directions) {
  with_rows_per_thread(layer.split, [&](auto rows) {
    launch_together(stream, directions, sizeof(Real), layer_forward<Real, decltype(rows)::value>, layer);
  });
}

template <class Real>
void launch_layer(cudaStream_t stream, const BackwardLayer<Real>& layer, index_t directions) {
  with_rows_per_thread(layer.split, [&](auto rows) {
    launch_together(stream, directions, sizeof(Real), layer_backward<Real, decltype(rows)::value>, layer);
  });
}

template void launch_layer<float>(cudaStream_t, const ForwardLayer<float>&, index_t);
template void launch_layer<double>(cudaStream_t, const ForwardLayer<double>&, index_t);
template void launch_layer<float>(cudaStream_t, const BackwardLayer<float>&, index_t);
template void launch_layer<double>(cudaStream_t, const BackwardLayer<double>&, index_t);

}  // namespace lstm_native::cuda
