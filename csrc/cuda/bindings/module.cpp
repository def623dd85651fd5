// cuda/bindings: the extension module's surface.
#include "cuda/bindings/register.hpp"

#ifdef LSTM_NATIVE_CUDA_TESTING
namespace lstm_native::cuda::bindings {
void register_testing(pybind11::module_& module);  // of tests/cuda_emulation
}
#endif

PYBIND11_MODULE(_cuda, module) {
  module.doc() = "lstm_native's CUDA part. Private: use device=\"cuda\" and lstm_native.cuda.";
  lstm_native::cuda::bindings::register_memory(module);
  lstm_native::cuda::bindings::register_exchange(module);
  lstm_native::cuda::bindings::register_run(module);
#ifdef LSTM_NATIVE_CUDA_TESTING
  lstm_native::cuda::bindings::register_testing(module);
#endif
}
