// kernels/generic: how fast the machine reads with this ISA's vectors, for benchmarks.

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
