// kernels/generic: unit: forward with weights in 16 bits.

#include "kernels/generic/forward.inl"

template struct ForwardUnit<float, Float16>;
template struct ForwardUnit<float, BFloat16>;
