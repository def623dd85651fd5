// kernels/avx2: fused multiply-add, minimum, maximum, conversion of 16-bit numbers, products of integers.

inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return _mm256_fmadd_ps(a, b, c);
}
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return _mm256_fmadd_pd(a, b, c);
}
// min and max give their second operand if one operand is NaN.
inline Vector<float> at_least(Vector<float> limit, Vector<float> x) { return _mm256_max_ps(limit, x); }
inline Vector<double> at_least(Vector<double> limit, Vector<double> x) { return _mm256_max_pd(limit, x); }
inline Vector<float> at_most(Vector<float> limit, Vector<float> x) { return _mm256_min_ps(limit, x); }
inline Vector<double> at_most(Vector<double> limit, Vector<double> x) { return _mm256_min_pd(limit, x); }
inline Vector<float> widen_float16(const void* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(from)));
}
inline Bits<float> multiply_pairs(Bits<float> a, Bits<float> b) {
  return reinterpret_cast<Bits<float>>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}

// The variant's. Its units are compiled with this flag.
#ifdef __AVXVNNI__
#define LSTM_NATIVE_INTEGER_DOT
// In each lane, four products of an unsigned and a signed byte.
constexpr std::int32_t stored_more = 128;  // by how much an integer of an input or a state is larger in memory
inline Bits<float> add_products_of_bytes(Bits<float> sum, Bits<float> of_unsigned, Bits<float> of_signed) {
  return reinterpret_cast<Bits<float>>(_mm256_dpbusd_avx_epi32(
      reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(of_unsigned), reinterpret_cast<__m256i>(of_signed)));
}
#endif
