// kernels/avx512: fused multiply-add, minimum, maximum, conversion of 16-bit numbers, products of integers.

inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
// With a full mask: GCC 12 warns of the plain intrinsics' undefined operand. min and max give their second operand if
// one operand is NaN.
inline Vector<float> at_least(Vector<float> limit, Vector<float> x) { return _mm512_maskz_max_ps(0xffff, limit, x); }
inline Vector<double> at_least(Vector<double> limit, Vector<double> x) { return _mm512_maskz_max_pd(0xff, limit, x); }
inline Vector<float> at_most(Vector<float> limit, Vector<float> x) { return _mm512_maskz_min_ps(0xffff, limit, x); }
inline Vector<double> at_most(Vector<double> limit, Vector<double> x) { return _mm512_maskz_min_pd(0xff, limit, x); }
inline Vector<float> widen_float16(const void* from) {
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(static_cast<const __m256i*>(from)));
}
inline Bits<float> multiply_pairs(Bits<float> a, Bits<float> b) {
  return reinterpret_cast<Bits<float>>(_mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}

// Only units of the variants are compiled with these flags.
#ifdef __AVX512VNNI__
#define LSTM_NATIVE_INTEGER_DOT
// In each lane, four products of an unsigned and a signed byte.
constexpr std::int32_t stored_more = 128;  // by how much an integer of an input or a state is larger in memory
inline Bits<float> add_products_of_bytes(Bits<float> sum, Bits<float> of_unsigned, Bits<float> of_signed) {
  return reinterpret_cast<Bits<float>>(_mm512_dpbusd_epi32(
      reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(of_unsigned), reinterpret_cast<__m512i>(of_signed)));
}
#endif
#ifdef __AVX512BF16__
#define LSTM_NATIVE_BFLOAT16_DOT
inline Vector<float> add_products_of_pairs(Vector<float> sum, Bits<float> a, Bits<float> b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
#endif
