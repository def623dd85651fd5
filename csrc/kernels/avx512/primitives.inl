// kernels/avx512: fused multiply-add, minimum, maximum, conversion of 16-bit numbers.

inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
// min and max give their second operand where one is NaN.
inline Vector<float> at_least(Vector<float> limit, Vector<float> x) { return _mm512_max_ps(limit, x); }
inline Vector<double> at_least(Vector<double> limit, Vector<double> x) { return _mm512_max_pd(limit, x); }
inline Vector<float> at_most(Vector<float> limit, Vector<float> x) { return _mm512_min_ps(limit, x); }
inline Vector<double> at_most(Vector<double> limit, Vector<double> x) { return _mm512_min_pd(limit, x); }
inline Vector<float> widen_float16(const void* from) {
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(static_cast<const __m256i*>(from)));
}
inline Vector<float> widen_bfloat16(const void* from) { return bfloat16_to_float(from); }
