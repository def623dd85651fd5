// kernels/generic: what the machine can do at most with this ISA's vectors, for benchmarks.

inline float multiply_adds(index_t rounds) {
  Vector<float> sums[probe_accumulators];
  for (int k = 0; k < probe_accumulators; ++k)
    sums[k] = broadcast(static_cast<float>(k));  // or one would stand for all
  const Vector<float> factor = broadcast(0.999F);
  const Vector<float> term = broadcast(0.001F);
  for (index_t round = 0; round < rounds; ++round) {
    for (auto& sum : sums) sum = multiply_add(sum, factor, term);
  }
  Vector<float> total{};
  for (const auto& sum : sums) total += sum;
  return sum_of_lanes<float>(total);
}

inline float read(const float* from, index_t count) {
  Vector<float> sums[8] = {};
  const float* const end = from + count;
  for (; from < end; from += 8 * lanes<float>) {
    for (int k = 0; k < 8; ++k) sums[k] += load(from + k * lanes<float>);
  }
  Vector<float> total{};
  for (const auto& sum : sums) total += sum;
  return sum_of_lanes<float>(total);
}
