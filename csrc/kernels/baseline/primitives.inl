// kernels/baseline: no fused multiply-add, which the oldest x86-64 does not have.

template <class AnyVector>
inline AnyVector multiply_add(AnyVector a, AnyVector b, AnyVector c) {
  return a * b + c;
}
