// kernels/generic: unit: forward with products of numbers in bfloat16, by instructions that every CPU has.

#include "kernels/generic/forward.inl"

template struct ForwardUnit<float, RoundedBFloat16>;
