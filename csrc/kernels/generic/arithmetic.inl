// kernels/generic: what the cells' formulas compute with on a CPU: vectors of units.

template <class Real>
struct VectorArithmetic {
  using Value = Vector<Real>;
  template <int count>
  using Values = Vectors<Real, count>;
};

template <class Real, Activation kind, int count>
[[gnu::always_inline]] inline Vector<Real> activation_from(const Vectors<Real, count>& x,
                                                           const Exponentials<Real, count>& e, int v) {
  if constexpr (kind == Activation::sigmoid) {
    return sigmoid_from<Real>(e.scale.of[v], e.series.of[v]);
  } else {
    return tanh_from<Real>(x.of[v], e.scale.of[v], e.series.of[v]);
  }
}

// One activation for each vector.
template <Activation... kinds, class Real, int count>
[[gnu::always_inline]] inline Vectors<Real, count> side_by_side(const Vectors<Real, count>& x) {
  static_assert(sizeof...(kinds) == count, "one activation for each vector");
  int v = 0;
  const Vectors<Real, count> y{{exponent_of<Real, kinds>(x.of[v++])...}};
  const Exponentials<Real, count> e = exponentials(y, Vectors<Real, count>{{broadcast(magic_of<Real, kinds>)...}});
  v = 0;
  return {{activation_from<Real, kinds>(x, e, v++)...}};
}
