// kernels/generic: unit: forward with weights in float32.

#include "kernels/generic/forward.inl"

template struct ForwardUnit<float, float>;
