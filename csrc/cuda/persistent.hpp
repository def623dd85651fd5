// cuda: the launch of a layer's steps, all at once.
#pragma once

#include "cuda/persistent.cuh"

namespace lstm_native::cuda {

template <class Real>
void launch_layer(cudaStream_t stream, const PersistentLayer<Real>& layer, index_t directions);

}  // namespace lstm_native::cuda
