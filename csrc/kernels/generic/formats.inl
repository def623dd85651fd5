// kernels/generic: how each format stores a block of weights, and reads a row of it (contracts: PackBlock and UnpackRow
// in kernel_table.hpp, where the order of a block is).

// Where the weights of a gate are within their unit block, in elements.
template <class Weight>
struct GatePlace {
  static constexpr index_t together = format_of<Weight>.columns_of_group;
  static constexpr index_t group_stride = pair_gates * together * format_of<Weight>.lanes;

  GatePlace(index_t columns, index_t gate)
      : stored((columns + together - 1) / together * together),
        first(gate / pair_gates * (stored / together) * group_stride +
              gate % pair_gates * together * format_of<Weight>.lanes) {}

  index_t of(index_t lane, index_t column) const {
    return first + column / together * group_stride + lane * together + column % together;
  }

  index_t stored;  // columns, those that fill the last group included
  index_t first;
};

// --- weights that are stored one by one -----------------------------------------------------------------------------

inline std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}
inline float float_of(std::uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

// One number as the format stores it: the nearest one, ties to even. A NaN stays one.
template <class Weight>
struct Stored {
  static Weight from(Weight value) { return value; }
  static Weight value(Weight weight) { return weight; }
};

// No step of it depends on whether subnormal numbers count as zero.
template <>
struct Stored<Float16> {
  static Float16 from(float value) {
    const std::uint32_t sign = (bits_of(value) >> 16) & 0x8000;
    return {static_cast<std::uint16_t>(sign | of_magnitude(bits_of(value) & 0x7fffffff))};
  }
  static float value(Float16 weight) {
    const std::uint32_t magnitude = weight.bits & 0x7fff;
    const std::uint32_t special = magnitude >= 0x7c00 ? 112 << 23 : 0;  // infinity and NaN
    const float value = magnitude < 0x400 ? static_cast<float>(magnitude) * 0x1p-24F
                                          : float_of((magnitude << 13) + (112 << 23) + special);
    return (weight.bits & 0x8000) != 0 ? -value : value;
  }

 private:
  static std::uint32_t of_magnitude(std::uint32_t bits) {
    if (bits > 0x7f800000) return 0x7e00 | ((bits >> 13) & 0x3ff);
    if (bits >= 0x47800000) return 0x7c00;  // 2^16
    // Below 2^-14 it is a multiple of 2^-24, which is the last bit of floats from 0.5 to 1.
    if (bits < 0x38800000) return bits_of(float_of(bits) + 0.5F) - bits_of(0.5F);
    return (bits - (112 << 23) + 0xfff + ((bits >> 13) & 1)) >> 13;
  }
};

template <class Weight>
struct StoredBFloat16 {
  static Weight from(float value) {
    const std::uint32_t bits = bits_of(value);
    const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
    const std::uint32_t rounded = is_nan ? bits | 0x400000 : bits + 0x7fff + ((bits >> 16) & 1);
    return {static_cast<std::uint16_t>(rounded >> 16)};
  }
  static float value(Weight weight) { return float_of(std::uint32_t{weight.bits} << 16); }
};
template <>
struct Stored<BFloat16> : StoredBFloat16<BFloat16> {};
template <>
struct Stored<RoundedBFloat16> : StoredBFloat16<RoundedBFloat16> {};
template <>
struct Stored<BFloat16Dot> : StoredBFloat16<BFloat16Dot> {};

template <class Real, class Weight>
struct Packing {
  static void pack(const PackBlock<Real>& block) {
    if constexpr (sizeof(Weight) == sizeof(Real)) {
      if (block.column_stride == 1) return pack_by_vectors(block);
    }
    // Columns in short runs, so that what is written stays in the L1 cache until its lines are full.
    constexpr index_t run = 64;
    const index_t stored = GatePlace<Weight>(block.columns, 0).stored;
    for (index_t begin = 0; begin < stored; begin += run) {
      const index_t end = begin + run < stored ? begin + run : stored;
      for (index_t gate = 0; gate < gate_count; ++gate) {
        const GatePlace<Weight> place(block.columns, gate);
        for (index_t lane = 0; lane < format_of<Weight>.lanes; ++lane) {
          const bool there = lane < block.row_count[gate];
          const Real* row = block.from + (there ? block.first_row[gate] + lane : 0) * block.row_stride;
          for (index_t k = begin; k < end; ++k) {
            const Real value = there && k < block.columns ? row[k * block.column_stride] : Real{0};
            static_cast<Weight*>(block.to)[place.of(lane, k)] = Stored<Weight>::from(value);
          }
        }
      }
    }
  }

  static void unpack(const UnpackRow<Real>& row) {
    const GatePlace<Weight> place(row.columns, row.gate);
    for (index_t k = 0; k < row.columns; ++k) {
      row.to[k] = Stored<Weight>::value(static_cast<const Weight*>(row.block)[place.of(row.lane, k)]);
    }
  }

 private:
  static void pack_by_vectors(const PackBlock<Real>& block) {
    for (index_t gate = 0; gate < gate_count; ++gate) {
      PackRows<Real> pack;
      pack.from = block.from + (block.row_count[gate] > 0 ? block.first_row[gate] : 0) * block.row_stride;
      pack.row_stride = block.row_stride;
      pack.row_count = block.row_count[gate];
      pack.size = block.columns;
      pack.to = static_cast<Real*>(block.to) + GatePlace<Weight>(block.columns, gate).first;
      pack.to_stride = GatePlace<Weight>::group_stride;
      pack_rows(pack);
    }
  }
};

// --- integers -------------------------------------------------------------------------------------------------------

// The largest magnitude over 127, rounded up to 16 bits: all products with integers up to 127 are then exact, so that
// numbers that were rounded to 8 bits stay what they are when they are packed again.
inline float scale_of(const float* from, index_t count, index_t stride) {
  float largest = 0.0F;
  for (index_t k = 0; k < count; ++k) {
    const float magnitude = __builtin_fabsf(from[k * stride]);
    largest = magnitude > largest ? magnitude : largest;
  }
  const double scale = static_cast<double>(largest) / 127.0;
  std::uint64_t bits;
  __builtin_memcpy(&bits, &scale, sizeof(bits));
  constexpr std::uint64_t below = (std::uint64_t{1} << 37) - 1;  // the last 37 of 53 bits
  bits = (bits + below) & ~below;
  double rounded;
  __builtin_memcpy(&rounded, &bits, sizeof(rounded));
  return static_cast<float>(rounded);
}

// The nearest one, ties to even.
inline std::int8_t integer_of(float value, float scale) {
  if (scale == 0.0F) return 0;
  constexpr float shift = 0x1.8p23F;  // numbers of this size are integers
  const float integer = (value / scale + shift) - shift;
  return static_cast<std::int8_t>(integer > 127.0F ? 127.0F : integer < -127.0F ? -127.0F : integer);
}

// A block's integers, then what they stand for.
template <class Weight>
struct IntegerBlock {
  static constexpr index_t rows = gate_count * format_of<Weight>.lanes;

  IntegerBlock(index_t columns, const void* block)
      : integers(const_cast<std::int8_t*>(static_cast<const std::int8_t*>(block))),
        scales(reinterpret_cast<float*>(integers + rows * GatePlace<Weight>(columns, 0).stored)),
        sums(reinterpret_cast<std::int32_t*>(scales + rows)) {}

  std::int8_t* integers;
  float* scales;
  std::int32_t* sums;
};

template <class Weight>
struct PackingOfIntegers {
  static void pack(const PackBlock<float>& block) {
    const IntegerBlock<Weight> packed(block.columns, block.to);
    const auto* end = reinterpret_cast<const std::int8_t*>(packed.sums + packed.rows);
    __builtin_memset(block.to, 0, static_cast<std::size_t>(end - packed.integers));
    for (index_t gate = 0; gate < gate_count; ++gate) {
      const GatePlace<Weight> place(block.columns, gate);
      for (index_t lane = 0; lane < block.row_count[gate]; ++lane) {
        const float* row = block.from + (block.first_row[gate] + lane) * block.row_stride;
        const float scale = scale_of(row, block.columns, block.column_stride);
        std::int32_t sum = 0;
        for (index_t k = 0; k < block.columns; ++k) {
          const std::int8_t integer = integer_of(row[k * block.column_stride], scale);
          packed.integers[place.of(lane, k)] = integer;
          sum += integer;
        }
        packed.scales[gate * format_of<Weight>.lanes + lane] = scale;
        packed.sums[gate * format_of<Weight>.lanes + lane] = sum;
      }
    }
  }

  static void unpack(const UnpackRow<float>& row) {
    const IntegerBlock<Weight> packed(row.columns, row.block);
    const GatePlace<Weight> place(row.columns, row.gate);
    const float scale = packed.scales[row.gate * format_of<Weight>.lanes + row.lane];
    for (index_t k = 0; k < row.columns; ++k) {
      row.to[k] = static_cast<float>(packed.integers[place.of(row.lane, k)]) * scale;
    }
  }
};
template <int terms>
struct Packing<float, Int8<terms>> : PackingOfIntegers<Int8<1>> {};
template <int terms>
struct Packing<float, Int8Dot<terms>> : PackingOfIntegers<Int8<1>> {};
