// kernels/baseline: no fused multiply-add: the oldest x86-64 CPUs lack it.

template <class AnyVector>
inline AnyVector multiply_add(AnyVector a, AnyVector b, AnyVector c) {
  return a * b + c;
}
// Comparisons with NaN are false, so a NaN stays.
template <class AnyVector>
inline AnyVector at_least(AnyVector limit, AnyVector x) {
  return x < limit ? limit : x;
}
template <class AnyVector>
inline AnyVector at_most(AnyVector limit, AnyVector x) {
  return x > limit ? limit : x;
}
inline Vector<float> widen_float16(const void* from) { return float16_to_float(from); }
inline Bits<float> multiply_pairs(Bits<float> a, Bits<float> b) {
#ifdef __SSE2__
  return reinterpret_cast<Bits<float>>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  return products_of_pairs(a, b);
#endif
}
