// kernels/generic: unit: forward with products of integers, four by one instruction.

#include "kernels/generic/forward.inl"

template struct ForwardUnit<float, Int8Dot<1>>;
template struct ForwardUnit<float, Int8Dot<2>>;
