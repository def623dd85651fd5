// kernels/avx512: fused multiply-add, minimum, maximum, conversion of 16-bit numbers.

inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
// With a full mask, since GCC 12 warns of the plain intrinsics' undefined operand. min and max give their second
// operand where one is NaN.
inline Vector<float> at_least(Vector<float> limit, Vector<float> x) { return _mm512_maskz_max_ps(0xffff, limit, x); }
inline Vector<double> at_least(Vector<double> limit, Vector<double> x) { return _mm512_maskz_max_pd(0xff, limit, x); }
inline Vector<float> at_most(Vector<float> limit, Vector<float> x) { return _mm512_maskz_min_ps(0xffff, limit, x); }
inline Vector<double> at_most(Vector<double> limit, Vector<double> x) { return _mm512_maskz_min_pd(0xff, limit, x); }
inline Vector<float> widen_float16(const void* from) {
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(static_cast<const __m256i*>(from)));
}
