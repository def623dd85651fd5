// kernels/generic: sigmoid and tanh on vectors. Errors are within 4 ulp of the correctly rounded value, also for
// subnormal results (tests try every float32, and samples of float64). NaN gives NaN. This file is included inside an
// ISA's namespace, which supplies multiply_add(a, b, c) = a * b + c, and at_least() and at_most(), which give their
// second argument if it is NaN.

// The coefficients come from tools/fit_activation_polynomials.py.
template <class Real>
struct ActivationConstants;

template <>
struct ActivationConstants<float> {
  static constexpr float sigmoid_zero_below = -104.0F;  // exp(-104) is below half of the smallest subnormal number
  static constexpr float sigmoid_one_above = 20.0F;     // exp(-20) is below half of the last place of 1
  static constexpr float tanh_one_above = 20.0F;
  static constexpr float tanh_near_zero_below = 0.5625F;
  // Adding 1.5 * 2^23 rounds a number to an integer in the low bits. With the exponent's bias added, these bits are the
  // exponent field of 2^integer.
  static constexpr float round_magic = 12582912.0F + 127.0F;
  static constexpr float ln2_high = 0.693359375F;  // 10 bits, so that its product with n <= 151 is exact
  static constexpr float ln2_low = -2.12194440e-4F;
  static constexpr float log2_e = 1.44269504F;
  static constexpr int mantissa_bits = 23;
  static constexpr float exp_polynomial[] = {1.3926176119935578884e-3F, 8.3631730745137109028e-3F,
                                             4.1666554662050533982e-2F, 1.6666577025597988190e-1F, 0.5F};
};

template <>
struct ActivationConstants<double> {
  static constexpr double sigmoid_zero_below = -746.0;
  static constexpr double sigmoid_one_above = 40.0;
  static constexpr double tanh_one_above = 20.0;
  static constexpr double tanh_near_zero_below = 0.5625;
  static constexpr double round_magic = 6755399441055744.0 + 1023.0;  // 1.5 * 2^52
  static constexpr double ln2_high = 0x1.62e42fefap-1;  // 37 bits, so that its product with n <= 1077 is exact
  static constexpr double ln2_low = 0x1.cf79abc9e3b398p-40;
  static constexpr double log2_e = 1.4426950408889634074;
  static constexpr int mantissa_bits = 52;
  static constexpr double exp_polynomial[] = {2.09146793765839351e-9,
                                              2.5105206373957011116e-8,
                                              2.7557273661348636219e-7,
                                              2.7557255425746434282e-6,
                                              2.4801587325533363819e-5,
                                              1.9841269874800491981e-4,
                                              1.3888888888883752417e-3,
                                              8.333333333326140884e-3,
                                              4.1666666666666669752e-2,
                                              1.6666666666666670986e-1,
                                              0.5};
};

// Several vectors that go through the same operations side by side. Each operation depends on the operation before it,
// so a single vector would mostly wait.
template <class Real, int count>
struct Vectors {
  Vector<Real> of[count];
};

// exp(-y) = scale + scale * series; for a sigmoid, times 2^-64. So 2^n is a normal number even if the result, a
// quotient of two such values, is subnormal.
template <class Real, int count>
struct Exponentials {
  Vectors<Real, count> scale, series;
};

constexpr int sigmoid_shift = 64;

template <class Real, Activation kind>
constexpr Real magic_of =
    ActivationConstants<Real>::round_magic - (kind == Activation::sigmoid ? Real{sigmoid_shift} : Real{0});

template <class Real>
[[gnu::always_inline]] inline Vector<Real> magnitude(Vector<Real> x) {
  const auto sign_bit = reinterpret_cast<Bits<Real>>(broadcast(-Real{0}));
  return reinterpret_cast<Vector<Real>>(reinterpret_cast<Bits<Real>>(x) & ~sign_bit);
}

// The y of an activation's exp(-y): x or 2 |x|, bounded to the range where the result changes with it. NaN stays.
template <class Real, Activation kind>
[[gnu::always_inline]] inline Vector<Real> exponent_of(Vector<Real> x) {
  using Constants = ActivationConstants<Real>;
  if constexpr (kind == Activation::sigmoid) {
    return at_most(broadcast(Constants::sigmoid_one_above), at_least(broadcast(Constants::sigmoid_zero_below), x));
  }
  return at_most(broadcast(2 * Constants::tanh_one_above), magnitude<Real>(x + x));
}

// -y = n * ln 2 + r with |r| <= ln(2) / 2; series = exp(r) - 1, scale = 2^n. magics: magic_of each vector's activation.
template <class Real, int count>
[[gnu::always_inline]] inline Exponentials<Real, count> exponentials(const Vectors<Real, count>& y,
                                                                     const Vectors<Real, count>& magics) {
  using Constants = ActivationConstants<Real>;
  constexpr int terms = sizeof(Constants::exp_polynomial) / sizeof(Real);
  Vectors<Real, count> shifted;
  Vectors<Real, count> r;
  Vectors<Real, count> polynomial;
  for (int v = 0; v < count; ++v) {
    shifted.of[v] = multiply_add(y.of[v], broadcast(-Constants::log2_e), magics.of[v]);
  }
  for (int v = 0; v < count; ++v) {
    const Vector<Real> n = shifted.of[v] - magics.of[v];
    r.of[v] = multiply_add(n, broadcast(-Constants::ln2_high), -y.of[v]);
    r.of[v] = multiply_add(n, broadcast(-Constants::ln2_low), r.of[v]);
  }
  for (int v = 0; v < count; ++v) polynomial.of[v] = broadcast(Constants::exp_polynomial[0]);
  for (int k = 1; k < terms; ++k) {  // Horner's rule, highest coefficient first
    const Vector<Real> coefficient = broadcast(Constants::exp_polynomial[k]);
    for (int v = 0; v < count; ++v) polynomial.of[v] = multiply_add(polynomial.of[v], r.of[v], coefficient);
  }
  Exponentials<Real, count> result;
  for (int v = 0; v < count; ++v) {
    result.series.of[v] = multiply_add(polynomial.of[v], r.of[v] * r.of[v], r.of[v]);
    const auto exponent_field = reinterpret_cast<Bits<Real>>(shifted.of[v]) << Constants::mantissa_bits;
    result.scale.of[v] = reinterpret_cast<Vector<Real>>(exponent_field);
  }
  return result;
}

// sigmoid(x) = 1 / (1 + exp(-x)), both sides of the fraction times 2^-64.
template <class Real>
[[gnu::always_inline]] inline Vector<Real> sigmoid_from(Vector<Real> scale, Vector<Real> series) {
  const Vector<Real> one = broadcast(static_cast<Real>(0x1p-64));
  return one / (one + multiply_add(series, scale, scale));
}

// With e = exp(-2 |x|), |tanh(x)| = (1 - e) / (1 + e). Near 0 the numerator is (1 - scale) - scale * series: scale is 1
// there, so nothing cancels. Farther out it is 1 - 2 e / (1 + e), which scales the fraction's rounding errors down.
template <class Real>
[[gnu::always_inline]] inline Vector<Real> tanh_from(Vector<Real> x, Vector<Real> scale, Vector<Real> series) {
  const Vector<Real> a = magnitude<Real>(x);
  const auto near_zero = a < ActivationConstants<Real>::tanh_near_zero_below;
  const Vector<Real> e = multiply_add(series, scale, scale);
  const Vector<Real> small = multiply_add(-series, scale, Real{1} - scale);
  const Vector<Real> fraction = (near_zero ? small : e + e) / (e + Real{1});
  const Vector<Real> positive = near_zero ? fraction : Real{1} - fraction;
  const Bits<Real> sign = reinterpret_cast<Bits<Real>>(x) ^ reinterpret_cast<Bits<Real>>(a);
  return reinterpret_cast<Vector<Real>>(reinterpret_cast<Bits<Real>>(positive) | sign);
}

template <class Real, int count>
[[gnu::always_inline]] inline Vectors<Real, count> tanh(const Vectors<Real, count>& x) {
  Vectors<Real, count> y;
  Vectors<Real, count> magics;
  for (int v = 0; v < count; ++v) {
    y.of[v] = exponent_of<Real, Activation::tanh>(x.of[v]);
    magics.of[v] = broadcast(magic_of<Real, Activation::tanh>);
  }
  const Exponentials<Real, count> e = exponentials(y, magics);
  Vectors<Real, count> result;
  for (int v = 0; v < count; ++v) result.of[v] = tanh_from<Real>(x.of[v], e.scale.of[v], e.series.of[v]);
  return result;
}

template <class Real>
[[gnu::always_inline]] inline Vector<Real> tanh(Vector<Real> x) {
  return tanh(Vectors<Real, 1>{{x}}).of[0];
}

template <class Real>
[[gnu::always_inline]] inline Vector<Real> sigmoid(Vector<Real> x) {
  const Exponentials<Real, 1> e = exponentials(Vectors<Real, 1>{{exponent_of<Real, Activation::sigmoid>(x)}},
                                               Vectors<Real, 1>{{broadcast(magic_of<Real, Activation::sigmoid>)}});
  return sigmoid_from<Real>(e.scale.of[0], e.series.of[0]);
}
