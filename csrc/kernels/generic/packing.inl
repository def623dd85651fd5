// kernels/generic: turns rows of a matrix into the lanes of vectors (contract: PackRows in kernel_table.hpp).

template <int... lane>
struct LaneList {};

template <int count, int... lane>
struct LanesBelow : LanesBelow<count - 1, count - 1, lane...> {};

template <int... lane>
struct LanesBelow<0, lane...> {
  typedef LaneList<lane...> List;
};

// The lanes with these numbers; b's lanes count on from a's.
template <class Real, int... number>
[[gnu::always_inline]] inline Vector<Real> lanes_of_two(Vector<Real> a, Vector<Real> b, LaneList<number...>) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, number...);
#else
  return __builtin_shuffle(a, b, Bits<Real>{number...});
#endif
}

// Exchanges lanes of two rows: those of a whose number has the bit `distance`, with those of b whose number lacks it.
template <class Real, int distance, int... lane>
[[gnu::always_inline]] inline void exchange(Vector<Real>& a, Vector<Real>& b, LaneList<lane...>) {
  constexpr int count = static_cast<int>(lanes<Real>);
  const Vector<Real> first =
      lanes_of_two<Real>(a, b, LaneList<((lane & distance) != 0 ? lane - distance + count : lane)...>{});
  b = lanes_of_two<Real>(a, b, LaneList<((lane & distance) != 0 ? lane + count : lane + distance)...>{});
  a = first;
}

// Transposes a square of vectors. Its off-diagonal halves change places, then quarters, and so on.
template <class Real, int distance>
[[gnu::always_inline]] inline void transpose(Vector<Real> (&square)[lanes<Real>]) {
  constexpr int count = static_cast<int>(lanes<Real>);
  for (int r = 0; r < count; ++r) {
    if ((r & distance) == 0) {
      exchange<Real, distance>(square[r], square[r + distance], typename LanesBelow<count>::List{});
    }
  }
  if constexpr (distance > 1) transpose<Real, distance / 2>(square);
}

template <class Real>
void pack_rows(const PackRows<Real>& pack) {
  constexpr int count = static_cast<int>(lanes<Real>);
  index_t k = 0;
  for (; k + count <= pack.size; k += count) {
    Vector<Real> square[count];
    for (int r = 0; r < count; ++r) {
      square[r] = r < pack.row_count ? load(pack.from + r * pack.row_stride + k) : Vector<Real>{};
    }
    transpose<Real, count / 2>(square);
    for (int r = 0; r < count; ++r) store(pack.to + (k + r) * pack.to_stride, square[r]);
  }
  for (; k < pack.size; ++k) {
    for (int r = 0; r < count; ++r) {
      pack.to[k * pack.to_stride + r] = r < pack.row_count ? pack.from[r * pack.row_stride + k] : Real{0};
    }
  }
}
