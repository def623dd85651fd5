// cuda: launches of all steps of a layer, as kernels of forward_layer.cuh and backward_layer.cuh.
#pragma once

#include "cuda/backward_layer.cuh"
#include "cuda/forward_layer.cuh"

namespace lstm_native::cuda {

template <class Real>
void launch_layer(cudaStream_t stream, const ForwardLayer<Real>& layer, index_t directions);
template <class Real>
void launch_layer(cudaStream_t stream, const BackwardLayer<Real>& layer, index_t directions);

}  // namespace lstm_native::cuda
