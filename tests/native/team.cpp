// Somebody's own parallel region, in which Python is called.
extern "C" void in_a_team(int threads, int rounds, void (*body)(int)) {
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int round = 0; round < rounds; ++round) body(round);
}
