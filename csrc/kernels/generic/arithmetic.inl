// kernels/generic: the arithmetic of the cells' formulas on a CPU, on vectors of units.

template <class Real>
struct VectorArithmetic {
  using Value = Vector<Real>;
  template <int count>
  using Values = Vectors<Real, count>;
  static Value of(double value) { return broadcast(static_cast<Real>(value)); }
  static bool rounds_to_zero(double value) { return static_cast<Real>(value) == Real{0}; }
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

template <class Real, int count>
[[gnu::always_inline]] inline Vectors<Real, count> sigmoid(const Vectors<Real, count>& x) {
  Vectors<Real, count> y;
  Vectors<Real, count> magics;
  for (int v = 0; v < count; ++v) {
    y.of[v] = exponent_of<Real, Activation::sigmoid>(x.of[v]);
    magics.of[v] = broadcast(magic_of<Real, Activation::sigmoid>);
  }
  const Exponentials<Real, count> e = exponentials(y, magics);
  Vectors<Real, count> result;
  for (int v = 0; v < count; ++v) result.of[v] = sigmoid_from<Real>(e.scale.of[v], e.series.of[v]);
  return result;
}

// The largest -x that changes the result; x is not positive. Beyond it the result equals its limit to the last place,
// or is as small as the smallest normal number.
template <class Real>
[[gnu::always_inline]] inline Exponentials<Real, 1> exponential_of_negative(Vector<Real> x) {
  constexpr Real normal_until = sizeof(Real) == 4 ? Real{87} : Real{708};
  return exponentials(Vectors<Real, 1>{{at_most(broadcast(normal_until), -x)}},
                      Vectors<Real, 1>{{broadcast(magic_of<Real, Activation::tanh>)}});
}

// exp(x) - 1; x is not positive.
inline Vector<float> exp_minus_one(Vector<float> x) {
  const Exponentials<float, 1> e = exponential_of_negative<float>(x);
  return multiply_add(e.series.of[0], e.scale.of[0], e.scale.of[0] - 1);
}
inline Vector<double> exp_minus_one(Vector<double> x) {
  const Exponentials<double, 1> e = exponential_of_negative<double>(x);
  return multiply_add(e.series.of[0], e.scale.of[0], e.scale.of[0] - 1);
}

// log(1 + exp(x)); x is not positive. With u = exp(x) and s = u / (2 + u), it is 2 atanh(s). Its series in s^2, which
// is 1/9 at most, ends where a term no longer changes the last place.
template <class Real>
[[gnu::always_inline]] inline Vector<Real> log_one_plus_exp_of(Vector<Real> x) {
  constexpr int terms = sizeof(Real) == 4 ? 8 : 17;
  const Exponentials<Real, 1> e = exponential_of_negative<Real>(x);
  const Vector<Real> u = multiply_add(e.series.of[0], e.scale.of[0], e.scale.of[0]);
  const Vector<Real> s = u / (u + 2);
  const Vector<Real> square = s * s;
  Vector<Real> sum{};
  for (int k = terms - 1; k >= 0; --k) {
    sum = multiply_add(sum, square, broadcast(static_cast<Real>(2.0 / (2 * k + 1))));
  }
  return s * sum;
}
inline Vector<float> log_one_plus_exp(Vector<float> x) { return log_one_plus_exp_of<float>(x); }
inline Vector<double> log_one_plus_exp(Vector<double> x) { return log_one_plus_exp_of<double>(x); }
