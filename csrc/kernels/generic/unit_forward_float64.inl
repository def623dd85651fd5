// kernels/generic: unit: forward with weights in float64.

#include "kernels/generic/forward.inl"

template struct ForwardUnit<double, double>;
