// kernels/generic: float16 to float with integer arithmetic.

typedef std::uint16_t HalfBits __attribute__((vector_size(vector_bytes / 2)));
typedef std::uint16_t HalfBitsAnywhere __attribute__((vector_size(vector_bytes / 2), aligned(2), may_alias));

inline Bits<float> widened_bits(const void* from) {
  const HalfBits bits = *static_cast<const HalfBitsAnywhere*>(from);
  return __builtin_convertvector(bits, Bits<float>);
}

// The exponent's bias differs by 112, and by as much again for infinity and NaN, which have the largest one. Subnormal
// numbers are integers times 2^-24. No step of it is a subnormal float, which may count as zero.
inline Vector<float> float16_to_float(const void* from) {
  const Bits<float> bits = widened_bits(from);
  const Bits<float> magnitude = bits & 0x7fff;
  const Bits<float> special = magnitude >= 0x7c00;
  const Bits<float> normal = (magnitude << 13) + (112 << 23) + (special & (112 << 23));
  const Vector<float> small = __builtin_convertvector(magnitude, Vector<float>) * 0x1p-24F;
  const Bits<float> is_small = magnitude < 0x400;
  const Bits<float> value = (is_small & reinterpret_cast<Bits<float>>(small)) | (~is_small & normal);
  return reinterpret_cast<Vector<float>>(value | ((bits & 0x8000) << 16));
}
