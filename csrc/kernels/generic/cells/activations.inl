// kernels/generic/cells: the activations that a general cell chooses from when it runs, and their derivatives.

// Of several values at a time.
template <class Arithmetic, class Values>
LSTM_NATIVE_CELL_BRANCHES Values activate_as(const ActivationSpec& spec, const Values& x) {
  constexpr int count = sizeof(Values) / sizeof(x.of[0]);
  using Value = typename Arithmetic::Value;
  const Value alpha = Arithmetic::of(spec.alpha);
  const Value beta = Arithmetic::of(spec.beta);
  const Value zero = Arithmetic::of(0.0);
  const Value one = Arithmetic::of(1.0);
  const auto each = [&](auto function) {
    Values y;
    for (int v = 0; v < count; ++v) y.of[v] = function(x.of[v]);
    return y;
  };
  switch (spec.kind) {
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return tanh(x);
    case Activation::relu:
      return each([&](Value v) { return v < zero ? zero : v; });
    case Activation::affine:
      return each([&](Value v) { return multiply_add(alpha, v, beta); });
    case Activation::leaky_relu:
      return each([&](Value v) { return v < zero ? alpha * v : v; });
    case Activation::thresholded_relu:
      return each([&](Value v) { return v <= alpha ? zero : v; });
    case Activation::scaled_tanh: {
      Values y = tanh(each([&](Value v) { return beta * v; }));
      for (int v = 0; v < count; ++v) y.of[v] = alpha * y.of[v];
      return y;
    }
    case Activation::hard_sigmoid:
      return each([&](Value v) {
        const Value y = multiply_add(alpha, v, beta);
        return y < zero ? zero : (y > one ? one : y);
      });
    case Activation::elu:
      return each([&](Value v) { return v > zero ? v : alpha * exp_minus_one(v > zero ? zero : v); });
    case Activation::softsign:
      return each([&](Value v) { return v / (one + (v < zero ? -v : v)); });
    case Activation::softplus:
      return each([&](Value v) { return (v < zero ? zero : v) + log_one_plus_exp(v < zero ? v : -v); });
  }
  return x;
}

// The derivative at x, where the activation is y. At a corner it is what PyTorch's autograd gives.
template <class Arithmetic, class Value>
LSTM_NATIVE_CELL_BRANCHES Value derivative(const ActivationSpec& spec, Value x, Value y) {
  const Value alpha = Arithmetic::of(spec.alpha);
  const Value beta = Arithmetic::of(spec.beta);
  const Value zero = Arithmetic::of(0.0);
  const Value one = Arithmetic::of(1.0);
  switch (spec.kind) {
    case Activation::sigmoid:
      return y * (one - y);
    case Activation::tanh:
      return one - y * y;
    case Activation::relu:
      return x > zero ? one : zero;
    case Activation::affine:
      return alpha;
    case Activation::leaky_relu:
      return x > zero ? one : alpha;
    case Activation::thresholded_relu:
      return x > alpha ? one : zero;
    case Activation::scaled_tanh: {
      if (Arithmetic::rounds_to_zero(spec.alpha)) return zero;
      const Value of_tanh = y / alpha;  // not y * y, which over- and underflows
      return alpha * beta * (one - of_tanh * of_tanh);
    }
    case Activation::hard_sigmoid: {
      const Value line = multiply_add(alpha, x, beta);
      return line < zero ? zero : (line > one ? zero : alpha);
    }
    case Activation::elu:
      return x > zero ? one : y + alpha;
    case Activation::softsign: {
      const Value scale = one + (x < zero ? -x : x);
      return one / (scale * scale);
    }
    case Activation::softplus:
      return sigmoid(typename Arithmetic::template Values<1>{{x}}).of[0];
  }
  return zero;
}
