// kernels/generic: vectors of float and double in the vector types of GCC and Clang, as wide as the ISA's. This file is
// included inside an ISA's namespace, which has declared `vector_bytes`.

template <class Real>
struct VectorTypes;

template <>
struct VectorTypes<float> {
  typedef float Vector __attribute__((vector_size(vector_bytes)));
  typedef float Anywhere __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
  typedef std::int32_t Bits __attribute__((vector_size(vector_bytes)));
};

template <>
struct VectorTypes<double> {
  typedef double Vector __attribute__((vector_size(vector_bytes)));
  typedef double Anywhere __attribute__((vector_size(vector_bytes), aligned(8), may_alias));
  typedef std::int64_t Bits __attribute__((vector_size(vector_bytes)));
};

template <class Real>
using Vector = typename VectorTypes<Real>::Vector;
template <class Real>
using Bits = typename VectorTypes<Real>::Bits;

template <class Real>
constexpr index_t lanes = vector_bytes / static_cast<index_t>(sizeof(Real));

template <class Real>
inline Vector<Real> broadcast(Real value) {
  return value - Vector<Real>{};  // x - 0 keeps every x, the sign of -0 included
}

template <class Real>
inline Vector<Real> load(const Real* from) {
  return *reinterpret_cast<const typename VectorTypes<Real>::Anywhere*>(from);
}

template <class Real>
inline void store(Real* to, Vector<Real> values) {
  *reinterpret_cast<typename VectorTypes<Real>::Anywhere*>(to) = values;
}

// The first `count` lanes; the others are zero.
template <class Real>
inline Vector<Real> load_some(const Real* from, index_t count) {
  Vector<Real> values{};
  __builtin_memcpy(&values, from, static_cast<std::size_t>(count) * sizeof(Real));
  return values;
}

template <class Real>
inline void store_some(Real* to, Vector<Real> values, index_t count) {
  __builtin_memcpy(to, &values, static_cast<std::size_t>(count) * sizeof(Real));
}

// Adds pairs of halves, so that the order of the sum does not depend on the compiler.
template <class Real>
inline Real sum_of_lanes(Vector<Real> values) {
  Real parts[lanes<Real>];
  store(parts, values);
  for (index_t half = lanes<Real> / 2; half > 0; half /= 2) {
    for (index_t k = 0; k < half; ++k) parts[k] += parts[k + half];
  }
  return parts[0];
}

// In each lane, the sum of two products of signed 16-bit numbers.
inline Bits<float> products_of_pairs(Bits<float> a, Bits<float> b) {
  return ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
}
