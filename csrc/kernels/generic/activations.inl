// kernels/generic: sigmoid and tanh on vectors. Within 4 ulp of the correctly rounded value, results below the smallest
// normal number included (tests try every float32, and samples of float64); NaN gives NaN. Included inside an ISA's
// namespace, which supplies multiply_add(a, b, c) = a * b + c.

// The coefficients come from tools/fit_activation_polynomials.py.
template <class Real>
struct ActivationConstants;

template <>
struct ActivationConstants<float> {
  static constexpr float exp_zero_from = 104.0F;     // exp(-104) is below half of the smallest subnormal number
  static constexpr float round_magic = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  static constexpr float ln2_high = 0.693359375F;    // 10 bits, so that its product with n <= 151 is exact
  static constexpr float ln2_low = -2.12194440e-4F;
  static constexpr float log2_e = 1.44269504F;
  static constexpr int exponent_bias = 127;
  static constexpr int mantissa_bits = 23;
  static constexpr float exp_polynomial[] = {1.3926176119935578884e-3F, 8.3631730745137109028e-3F,
                                             4.1666554662050533982e-2F, 1.6666577025597988190e-1F, 0.5F};
  static constexpr float tanh_polynomial_below = 0.5625F;
  static constexpr float tanh_polynomial[] = {-6.5255721689981483556e-3F, 2.1263353447151622097e-2F,
                                              -5.3901753164581233464e-2F, 1.3333073813501169266e-1F,
                                              -3.333333169526054732e-1F};
};

template <>
struct ActivationConstants<double> {
  static constexpr double exp_zero_from = 746.0;
  static constexpr double round_magic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double ln2_high = 0x1.62e42fefap-1;       // 37 bits, so that its product with n <= 1077 is exact
  static constexpr double ln2_low = 0x1.cf79abc9e3b398p-40;
  static constexpr double log2_e = 1.4426950408889634074;
  static constexpr int exponent_bias = 1023;
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
  static constexpr double tanh_polynomial_below = 0.5625;
  static constexpr double tanh_polynomial[] = {
      7.6344141851187133225e-6, -3.3330620139971521292e-5, 9.4277788283195029801e-5, -2.3836459039376215278e-4,
      5.8987881875023410623e-4, -1.455814943624965443e-3,  3.5921263528222338178e-3, -8.8632354371203770329e-3,
      2.1869488533130331948e-2, -5.3968253968202909387e-2, 1.3333333333333299517e-1, -3.3333333333333333296e-1};
};

// Horner's rule, highest coefficient first.
template <class Real, int count>
inline Vector<Real> polynomial(const Real (&coefficients)[count], Vector<Real> x) {
  Vector<Real> value = broadcast(coefficients[0]);
  for (int k = 1; k < count; ++k) value = multiply_add(value, x, broadcast(coefficients[k]));
  return value;
}

template <class Real>
inline Vector<Real> magnitude(Vector<Real> x) {
  const auto sign_bit = reinterpret_cast<Bits<Real>>(broadcast(-Real{0}));
  return reinterpret_cast<Vector<Real>>(reinterpret_cast<Bits<Real>>(x) & ~sign_bit);
}

// 2^n for n within the normal exponents.
template <class Real>
inline Vector<Real> power_of_two(Bits<Real> n) {
  using Constants = ActivationConstants<Real>;
  return reinterpret_cast<Vector<Real>>((n + Constants::exponent_bias) << Constants::mantissa_bits);
}

// exp(-a) for a >= 0. x = -a = n * ln 2 + r with |r| <= ln(2) / 2.
template <class Real>
inline Vector<Real> exp_of_minus(Vector<Real> a) {
  using Constants = ActivationConstants<Real>;
  const Vector<Real> limit = broadcast(Constants::exp_zero_from);
  a = a > limit ? limit : a;  // false for NaN, which stays
  const Vector<Real> magic = broadcast(Constants::round_magic);
  const Vector<Real> shifted = multiply_add(a, broadcast(-Constants::log2_e), magic);
  const Vector<Real> n = shifted - magic;
  Vector<Real> r = multiply_add(n, broadcast(-Constants::ln2_high), -a);
  r = multiply_add(n, broadcast(-Constants::ln2_low), r);
  const Vector<Real> series = multiply_add(polynomial(Constants::exp_polynomial, r), r * r, r) + Real{1};
  // 2^n in two factors, because n reaches below the smallest normal exponent.
  const Bits<Real> exponent = reinterpret_cast<Bits<Real>>(shifted) - reinterpret_cast<Bits<Real>>(magic);
  const Bits<Real> half = exponent >> 1;
  return series * power_of_two<Real>(half) * power_of_two<Real>(exponent - half);
}

// exp(-a) / (1 + exp(-a)) = sigmoid(-a), for a >= 0. Both activations subtract a multiple of it from 1 where it is
// small, so that its rounding errors are scaled down.
template <class Real>
inline Vector<Real> sigmoid_of_minus(Vector<Real> a) {
  const Vector<Real> e = exp_of_minus<Real>(a);
  return e / (e + Real{1});
}

template <class Real>
inline Vector<Real> sigmoid(Vector<Real> x) {
  const Vector<Real> q = sigmoid_of_minus<Real>(magnitude<Real>(x));
  return x < Real{0} ? q : Real{1} - q;
}

template <class Real>
inline Vector<Real> tanh(Vector<Real> x) {
  using Constants = ActivationConstants<Real>;
  const Vector<Real> a = magnitude<Real>(x);
  const Vector<Real> q = sigmoid_of_minus<Real>(a + a);
  const Vector<Real> large = Real{1} - (q + q);
  // Near 0 the difference cancels.
  const Vector<Real> z = a * a;
  const Vector<Real> small = multiply_add(polynomial(Constants::tanh_polynomial, z) * z, a, a);
  const Vector<Real> positive = a < Constants::tanh_polynomial_below ? small : large;
  const Bits<Real> sign = reinterpret_cast<Bits<Real>>(x) ^ reinterpret_cast<Bits<Real>>(a);
  return reinterpret_cast<Vector<Real>>(reinterpret_cast<Bits<Real>>(positive) | sign);
}
