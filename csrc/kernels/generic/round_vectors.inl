// kernels/generic: inputs and hidden states, rounded as the products of a format take them (StepForward::vectors in
// kernel_table.hpp). One rule for every instruction set, to the bit.

constexpr index_t line_bytes = 64;

// Elements in 32 bits, as many as fill the vectors of `bytes`.
typedef std::int8_t Bytes __attribute__((vector_size(vector_bytes / 4)));
typedef std::int16_t Words __attribute__((vector_size(vector_bytes / 2)));
typedef std::uint64_t Quads __attribute__((vector_size(vector_bytes / 2)));

constexpr index_t whole_line_bytes(index_t bytes) { return (bytes + line_bytes - 1) / line_bytes * line_bytes; }

// What stands in the first line of a row's vectors.
struct RowScales {
  float input;                // of an integer 1; NaN where the vector has a value that is not finite
  float hidden;               // the same, of the last term
  std::int32_t input_offset;  // the integer that was subtracted from all of the input's
  std::int32_t hidden_terms;
};

// Where a row's vectors are.
template <class Weight>
struct RowVectors {
  std::byte* begin;
  index_t input_bytes;  // of one term
  index_t hidden_bytes;

  RowVectors(const StepForward<float>& step, index_t row)
      : begin(static_cast<std::byte*>(step.vectors) + row * step.vector_stride),
        input_bytes(whole_line_bytes(step.input_size * format_of<Weight>.vector_bytes)),
        hidden_bytes(whole_line_bytes(step.hidden_size * format_of<Weight>.vector_bytes)) {}

  RowScales& scales() const { return *reinterpret_cast<RowScales*>(begin); }
  std::byte* input(index_t term) const { return begin + line_bytes + term * input_bytes; }
  std::byte* hidden(index_t term = 0) const { return input(format_of<Weight>.input_terms) + term * hidden_bytes; }
};

// round(vector, k) for the vectors of a row from column k on; past its end they hold zeros.
template <class Round>
[[gnu::always_inline]] inline void for_each_vector_of_row(const float* from, index_t size, const Round& round) {
  index_t k = 0;
  for (; k + lanes<float> <= size; k += lanes<float>) round(load(from + k), k);
  if (k < size) round(load_some(from + k, size - k), k);
}

// --- bfloat16 -------------------------------------------------------------------------------------------------------

// The nearest number with 16 bits, ties to even; a NaN stays one.
inline Vector<float> rounded_to_bfloat16(Vector<float> x) {
  const Bits<float> bits = reinterpret_cast<Bits<float>>(x);
  const Bits<float> rounded = bits + 0x7fff + ((bits >> 16) & 1);
  const Bits<float> is_nan = (bits & 0x7fffffff) > 0x7f800000;
  const Bits<float> kept = (is_nan & (bits | 0x400000)) | (~is_nan & rounded);
  return reinterpret_cast<Vector<float>>(kept & static_cast<std::int32_t>(0xffff0000));
}

inline void round_to(RoundedBFloat16, const float* from, index_t size, std::byte* to) {
  for_each_vector_of_row(
      from, size, [&](Vector<float> x, index_t k) { store(reinterpret_cast<float*>(to) + k, rounded_to_bfloat16(x)); });
}

inline void round_to(BFloat16Dot, const float* from, index_t size, std::byte* to) {
  typedef std::uint16_t Halves __attribute__((vector_size(vector_bytes / 2)));
  for_each_vector_of_row(from, size, [&](Vector<float> x, index_t k) {
    const auto bits = reinterpret_cast<Bits<float>>(rounded_to_bfloat16(x)) >> 16;
    const Halves halves = __builtin_convertvector(bits, Halves);
    __builtin_memcpy(to + k * 2, &halves, sizeof(halves));
  });
}

// --- integers -------------------------------------------------------------------------------------------------------

// Of a vector's values and zero.
struct Extent {
  float least;
  float most;
  bool finite;  // all values are, or else the others are undefined

  float magnitude() const { return most > -least ? most : -least; }
};

inline Extent extent_of(const float* from, index_t size) {
  Vector<float> least{};
  Vector<float> most{};
  Bits<float> largest{};
  for_each_vector_of_row(from, size, [&](Vector<float> x, index_t) {
    const Bits<float> magnitude = reinterpret_cast<Bits<float>>(x) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
    least = x < least ? x : least;
    most = x > most ? x : most;
  });
  Extent extent{0.0F, 0.0F, true};
  for (index_t lane = 0; lane < lanes<float>; ++lane) {
    extent.least = least[lane] < extent.least ? least[lane] : extent.least;
    extent.most = most[lane] > extent.most ? most[lane] : extent.most;
    extent.finite = extent.finite && largest[lane] < 0x7f800000;
  }
  return extent;
}

// Integers of at most 23 bits, ties to even.
inline Bits<float> nearest_integers(Vector<float> x) {
  constexpr float shift = 0x1.8p23F;
  constexpr std::int32_t bits_of_shift = 0x4b400000;
  return reinterpret_cast<Bits<float>>(x + shift) - bits_of_shift;
}

// Four words a, b, c, d of each 64 bits become a, c, b, d: the first and third column of a group of weights are the
// even bytes of a lane.
inline void store_integers(Int8<1>, Bits<float> integers, std::byte* to, index_t k) {
  const Words words = __builtin_convertvector(integers, Words);
  const auto groups = reinterpret_cast<Quads>(words);
  const Quads exchanged = (groups & 0xffff00000000ffff) | ((groups & 0xffff0000) << 16) | ((groups >> 16) & 0xffff0000);
  __builtin_memcpy(to + k * 2, &exchanged, sizeof(exchanged));
}

// By how much an integer is larger in memory.
template <class Weight>
constexpr std::int32_t stored_more_of = 0;

#ifdef LSTM_NATIVE_INTEGER_DOT
template <int terms>
constexpr std::int32_t stored_more_of<Int8Dot<terms>> = stored_more;

inline void store_integers(Int8Dot<1>, Bits<float> integers, std::byte* to, index_t k) {
  const Bytes bytes = __builtin_convertvector(integers + stored_more, Bytes);
  __builtin_memcpy(to + k, &bytes, sizeof(bytes));
}
#endif

// What a magnitude counts as at least: below, the inverse of a scale would be beyond all numbers.
constexpr float least_magnitude = 0x1p-100F;

inline float at_least_least(float magnitude) { return magnitude > least_magnitude ? magnitude : least_magnitude; }

// Rounds to integers of at most 127 (one term), or 127 * 128 (two: multiples of 128, and the rest), times the scale
// that it returns: parts of the largest magnitude.
template <int terms, class Stored>
inline float round_to_integers(Stored stored, const float* from, index_t size, const Extent& extent,
                               std::byte* const* to) {
  constexpr float most = terms == 1 ? 127.0F : 127.0F * 128.0F;
  const float bound = at_least_least(extent.magnitude());
  const float inverse = most / bound;
  for_each_vector_of_row(from, size, [&](Vector<float> x, index_t k) {
    const Bits<float> integers = nearest_integers(x * inverse);
    if constexpr (terms == 1) {
      store_integers(stored, integers, to[0], k);
    } else {
      const Bits<float> high = (integers + 64) >> 7;
      store_integers(stored, high, to[0], k);
      store_integers(stored, integers - (high << 7), to[1], k);
    }
  });
  return extent.finite ? bound / most : __builtin_nanf("");
}

// Rounds to integers whose distance from an integer offset is at most 127, times a scale: parts of the range from the
// least value to the largest, and of zero. Values of one sign have a bit more than by round_to_integers().
template <class Stored>
inline void round_between(Stored stored, const float* from, index_t size, std::byte* to, RowScales& scales) {
  constexpr float most = 126.5F;  // half a step less, since the offset is rounded, too
  const Extent extent = extent_of(from, size);
  const float bound = at_least_least(0.5F * extent.most - 0.5F * extent.least);
  const float inverse = most / bound;
  const float center = extent.finite ? (0.5F * extent.most + 0.5F * extent.least) * inverse : 0.0F;
  const std::int32_t offset = nearest_integers(broadcast(center))[0];
  for_each_vector_of_row(from, size, [&](Vector<float> x, index_t k) {
    store_integers(stored, nearest_integers(x * inverse) - offset, to, k);
  });
  scales.input = extent.finite ? bound / most : __builtin_nanf("");
  scales.input_offset = offset;
}

// --- rows -----------------------------------------------------------------------------------------------------------

template <class Weight>
struct RowRounding {
  static void input(const float* from, index_t size, const RowVectors<Weight>& to) {
    round_to(Weight{}, from, size, to.input(0));
  }
  static void hidden(const float* from, index_t size, const RowVectors<Weight>& to) {
    round_to(Weight{}, from, size, to.hidden());
  }
};

template <class Weight, class Stored, int terms>
struct IntegerRowRounding {
  static void input(const float* from, index_t size, const RowVectors<Weight>& to) {
    if constexpr (terms == 1) {
      round_between(Stored{}, from, size, to.input(0), to.scales());
    } else {
      std::byte* const vectors[] = {to.input(0), to.input(1)};
      to.scales().input = round_to_integers<2>(Stored{}, from, size, extent_of(from, size), vectors);
      to.scales().input_offset = 0;
    }
  }
  // Beyond 1, as a caller's state may be, and those of some activations are, 8 bits would be less exact than they are
  // for the states that a cell gives.
  static void hidden(const float* from, index_t size, const RowVectors<Weight>& to) {
    const Extent extent = extent_of(from, size);
    std::byte* const vectors[] = {to.hidden(0), to.hidden(1)};
    const bool one = !extent.finite || extent.magnitude() <= 1.0F;
    to.scales().hidden_terms = one ? 1 : 2;
    to.scales().hidden = one ? round_to_integers<1>(Stored{}, from, size, extent, vectors)
                             : round_to_integers<2>(Stored{}, from, size, extent, vectors);
  }
};
template <int terms>
struct RowRounding<Int8<terms>> : IntegerRowRounding<Int8<terms>, Int8<1>, terms> {};
template <int terms>
struct RowRounding<Int8Dot<terms>> : IntegerRowRounding<Int8Dot<terms>, Int8Dot<1>, terms> {};

// Gives each row a second term of its hidden state where one of them has it: the rows of a tile are multiplied
// together.
template <class Weight>
inline void fill_second_terms(const StepForward<float>& step) {
  bool filled = false;
  for (index_t r = 0; r < step.row_count && !filled; ++r) {
    filled = RowVectors<Weight>(step, r).scales().hidden_terms == 2;
  }
  if (!filled) return;
  for (index_t r = 0; r < step.row_count; ++r) {
    const RowVectors<Weight> to(step, r);
    if (to.scales().hidden_terms == 2) continue;
    __builtin_memset(to.hidden(1), stored_more_of<Weight>, static_cast<std::size_t>(to.hidden_bytes));
  }
}

// Of all rows of a call.
template <class Weight, bool with_input, bool with_hidden, class Real>
inline void round_vectors(const StepForward<Real>& step) {
  if constexpr (format_of<Weight>.vector_bytes > 0) {
    for (index_t r = 0; r < step.row_count; ++r) {
      const RowVectors<Weight> to(step, r);
      if constexpr (with_input) RowRounding<Weight>::input(step.rows[r].input, step.input_size, to);
      if constexpr (with_hidden) RowRounding<Weight>::hidden(step.rows[r].hidden, step.hidden_size, to);
    }
    if constexpr (with_hidden && format_of<Weight>.hidden_terms == 2) fill_second_terms<Weight>(step);
  }
}
