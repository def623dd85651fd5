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

// A unit block as weights of type Real are stored, where a format's values are such numbers.
template <class Real, class Weight>
struct Widening {
  static constexpr void (*widen)(const void*, Real*, index_t) = nullptr;
};
template <>
struct Widening<float, Float16> {
  static void widen(const void* block, float* to, index_t columns) {
    const auto* from = static_cast<const Float16*>(block);
    for (index_t k = 0; k < columns * gate_count * lanes<float>; k += lanes<float>) {
      store(to + k, load_weights<0>(from + k));
    }
  }
};
template <>
struct Widening<float, BFloat16> {
  static void widen(const void* block, float* to, index_t columns) {
    constexpr index_t column = pair_gates * lanes<float>;
    const auto* from = static_cast<const BFloat16*>(block);
    for (index_t pair = 0; pair < gate_pairs; ++pair) {
      for (index_t k = 0; k < columns; k += 2, from += 2 * column) {
        const bool both = k + 1 < columns;  // of the group
        for (index_t gate = 0; gate < pair_gates; ++gate) {
          const BFloat16* group = from + gate * 2 * lanes<float>;
          store(to + gate * lanes<float>, load_weights<0>(group));
          if (both) store(to + column + gate * lanes<float>, load_weights<1>(group));
        }
        to += both ? 2 * column : column;
      }
    }
  }
};
