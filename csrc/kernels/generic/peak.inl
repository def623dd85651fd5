// kernels/generic: how fast the machine multiplies and adds in registers as a format's products do, for benchmarks.

// `next(sum)` of each accumulator, in each round. They begin with different numbers, or one would stand for
// all.
template <class Sum, class Next>
inline Sum repeat_in_registers(index_t rounds, const Next& next) {
  Sum sums[probe_accumulators];
  for (int k = 0; k < probe_accumulators; ++k) sums[k] = reinterpret_cast<Sum>(Bits<float>{} + k);
  for (index_t round = 0; round < rounds; ++round) {
    for (auto& sum : sums) sum = next(sum);
  }
  Sum total{};
  for (const auto& sum : sums) total += sum;
  return total;
}

template <class Real, class Weight>
inline Real multiply_in_registers(index_t rounds) {
  if constexpr (sum_kind<Weight> == SumKind::of_columns) {
    const Vector<Real> factor = broadcast(Real(0.999));
    const Vector<Real> term = broadcast(Real(0.001));
    return sum_of_lanes<Real>(
        repeat_in_registers<Vector<Real>>(rounds, [&](Vector<Real> sum) { return multiply_add(sum, factor, term); }));
  } else {
    using Product = GroupProduct<Weight>;
    // Each sum is a factor of what is added to it: nothing is the same in all rounds.
    const Bits<float> weights = Bits<float>{} + 0x01020304;
    const auto total = repeat_in_registers<typename Product::Sum>(rounds, [&](typename Product::Sum sum) {
      return Product::add(sum, reinterpret_cast<Bits<float>>(sum), weights);
    });
    return sum_of_lanes<float>(reinterpret_cast<Vector<float>>(total));
  }
}
