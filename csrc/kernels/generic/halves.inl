// kernels/generic: 16-bit floating-point numbers to float with integer arithmetic.

typedef std::uint16_t HalfBits __attribute__((vector_size(vector_bytes / 2)));
typedef std::uint16_t HalfBitsAnywhere __attribute__((vector_size(vector_bytes / 2), aligned(2), may_alias));

inline Bits<float> widened_bits(const void* from) {
  const HalfBits bits = *static_cast<const HalfBitsAnywhere*>(from);
  return __builtin_convertvector(bits, Bits<float>);
}

inline Vector<float> bfloat16_to_float(const void* from) {
  return reinterpret_cast<Vector<float>>(widened_bits(from) << 16);
}

// The exponent's bias differs by 112; multiplying by 2^112 also makes subnormal numbers right. Infinity and NaN need
// the float's largest exponent besides.
inline Vector<float> float16_to_float(const void* from) {
  const Bits<float> bits = widened_bits(from);
  const Bits<float> shifted = (bits & 0x7fff) << 13;
  const Vector<float> scaled = reinterpret_cast<Vector<float>>(shifted) * 0x1p112F;
  const Bits<float> special = (bits & 0x7c00) == 0x7c00;
  const Bits<float> value = reinterpret_cast<Bits<float>>(scaled) | (special & 0x7f800000);
  return reinterpret_cast<Vector<float>>(value | ((bits & 0x8000) << 16));
}
