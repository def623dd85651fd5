// Faults for tools/sanitize.py, one for each kind of error that its sanitizers must notice in a library that Python has
// loaded; and what they must not take for one.
#include <climits>
#include <cstdlib>

extern "C" {

int read_past_end(int index) {
  int* volatile numbers = new int[4]();  // volatile: or the compiler knows the size, and UBSan sees it first
  const int read = numbers[index];
  delete[] numbers;
  return read;
}

int overflow(int more) { return INT_MAX - 1 + more; }

void lose(int bytes) {
  void* volatile lost = std::malloc(static_cast<std::size_t>(bytes));
  lost = nullptr;
}

// Every thread adds to the same number, without order.
int race(int rounds) {
  int sum = 0;
#pragma omp parallel num_threads(4)
  for (int k = 0; k < rounds; ++k) sum += k;
  return sum;
}

// The same with OpenMP's own ways of order: fork and join, a barrier, a critical section.
int no_race(int rounds) {
  int sum = 0;
  int parts[4] = {};
#pragma omp parallel num_threads(4)
  {
#pragma omp for
    for (int part = 0; part < 4; ++part) parts[part] = rounds;
#pragma omp critical
    for (const int part : parts) sum += part;
  }
  return sum;
}
}
