// kernels/generic: the four gates of one vector of units.

template <class Real>
struct GateVectors {
  Vector<Real> input, forget, candidate, output;
};

template <class Real>
[[gnu::always_inline]] inline GateVectors<Real> activate(const GateVectors<Real>& pre) {
  const Vector<Real> of_sigmoid = broadcast(magic_of<Real, Activation::sigmoid>);
  const Vector<Real> of_tanh = broadcast(magic_of<Real, Activation::tanh>);
  const Exponentials<Real, gate_count> e = exponentials(
      Vectors<Real, gate_count>{
          {exponent_of<Real, Activation::sigmoid>(pre.input), exponent_of<Real, Activation::sigmoid>(pre.forget),
           exponent_of<Real, Activation::tanh>(pre.candidate), exponent_of<Real, Activation::sigmoid>(pre.output)}},
      Vectors<Real, gate_count>{{of_sigmoid, of_sigmoid, of_tanh, of_sigmoid}});
  return {sigmoid_from<Real>(e.scale.of[0], e.series.of[0]), sigmoid_from<Real>(e.scale.of[1], e.series.of[1]),
          tanh_from<Real>(pre.candidate, e.scale.of[2], e.series.of[2]),
          sigmoid_from<Real>(e.scale.of[3], e.series.of[3])};
}
