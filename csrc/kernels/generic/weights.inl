// kernels/generic: how a packed weight becomes a vector. The ISA supplies widen_float16() and widen_bfloat16().

template <class Real>
inline Vector<Real> load_weights(const Real* from) {
  return load(from);
}
inline Vector<float> load_weights(const Float16* from) { return widen_float16(from); }
inline Vector<float> load_weights(const BFloat16* from) { return widen_bfloat16(from); }
