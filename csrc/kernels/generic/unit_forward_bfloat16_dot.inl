// kernels/generic: unit: forward with products of numbers in bfloat16, two by one instruction.

#include "kernels/generic/forward.inl"

template struct ForwardUnit<float, BFloat16Dot>;
