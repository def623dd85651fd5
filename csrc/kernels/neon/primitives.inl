// kernels/neon: fused multiply-add, minimum, maximum, conversion of 16-bit numbers.

// The intrinsics vfmaq_f32 and vcvt_f32_f16 are avoided: GCC 12 assumes that they read memory, and stores all sums at
// each turn of a loop.
inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b));
  return c;
}
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  __asm__("fmla %0.2d, %1.2d, %2.2d" : "+w"(c) : "w"(a), "w"(b));
  return c;
}
// min and max give NaN if one operand is NaN.
inline Vector<float> at_least(Vector<float> limit, Vector<float> x) { return vmaxq_f32(limit, x); }
inline Vector<double> at_least(Vector<double> limit, Vector<double> x) { return vmaxq_f64(limit, x); }
inline Vector<float> at_most(Vector<float> limit, Vector<float> x) { return vminq_f32(limit, x); }
inline Vector<double> at_most(Vector<double> limit, Vector<double> x) { return vminq_f64(limit, x); }
inline Vector<float> widen_float16(const void* from) {
  const HalfBits bits = *static_cast<const HalfBitsAnywhere*>(from);
  Vector<float> values;
  __asm__("fcvtl %0.4s, %1.4h" : "=w"(values) : "w"(bits));
  return values;
}
inline Bits<float> multiply_pairs(Bits<float> a, Bits<float> b) { return products_of_pairs(a, b); }

// The variant's. Its units are compiled with this flag.
#ifdef __ARM_FEATURE_DOTPROD
#define LSTM_NATIVE_INTEGER_DOT
// In each lane, four products of signed bytes. Not by the intrinsic, as above.
constexpr std::int32_t stored_more = 0;  // by how much an integer of an input or a state is larger in memory
inline Bits<float> add_products_of_bytes(Bits<float> sum, Bits<float> a, Bits<float> b) {
  __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b));
  return sum;
}
#endif
