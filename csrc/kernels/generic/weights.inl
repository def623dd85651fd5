// kernels/generic: how packed weights become vectors. The ISA supplies widen_float16().

// The weights of one column of a group, whose first is at `from`.
template <index_t column, class Real>
inline Vector<Real> load_weights(const Real* from) {
  return load(from);
}
template <index_t column>
inline Vector<float> load_weights(const Float16* from) {
  return widen_float16(from);
}
template <index_t column>
inline Vector<float> load_weights(const BFloat16* from) {
  const auto words = reinterpret_cast<Bits<float>>(load(reinterpret_cast<const float*>(from)));
  return reinterpret_cast<Vector<float>>(column == 0 ? words << 16 : words & static_cast<std::int32_t>(0xffff0000));
}
template <index_t column>
inline Vector<float> load_weights(const RoundedBFloat16* from) {
  return load_weights<column>(reinterpret_cast<const BFloat16*>(from));
}
