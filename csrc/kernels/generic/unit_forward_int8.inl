// kernels/generic: unit: forward with products of integers, by instructions that every CPU of the ISA has.

#include "kernels/generic/forward.inl"

template struct ForwardUnit<float, Int8<1>>;
template struct ForwardUnit<float, Int8<2>>;
