// kernels/generic: reads and writes a whole vector, or the first `count` lanes at the end of a row.

template <class Real>
struct WholeVector {
  Vector<Real> read(const Real* from) const { return load(from); }
  void write(Real* to, Vector<Real> values) const { store(to, values); }
};

template <class Real>
struct PartialVector {
  index_t count;
  Vector<Real> read(const Real* from) const { return load_some(from, count); }
  void write(Real* to, Vector<Real> values) const { store_some(to, values, count); }
};

// The gates of one vector of units, in a row of (4, units).
template <class Real, class Access>
[[gnu::always_inline]] inline Vectors<Real, gate_count> read_gates(const Real* from, index_t units, index_t unit,
                                                                   Access access) {
  return {{access.read(from + input_gate * units + unit), access.read(from + forget_gate * units + unit),
           access.read(from + cell_candidate * units + unit), access.read(from + output_gate * units + unit)}};
}

template <class Real, class Access>
[[gnu::always_inline]] inline void write_gates(const Vectors<Real, gate_count>& gates, Real* to, index_t units,
                                               index_t unit, Access access) {
  access.write(to + input_gate * units + unit, gates.of[input_gate]);
  access.write(to + forget_gate * units + unit, gates.of[forget_gate]);
  access.write(to + cell_candidate * units + unit, gates.of[cell_candidate]);
  access.write(to + output_gate * units + unit, gates.of[output_gate]);
}

// The peepholes, in a row of (3, units); zeros if there are none.
template <class Real, class Access>
[[gnu::always_inline]] inline Vectors<Real, peephole_count> read_peepholes(const Real* from, index_t units,
                                                                           index_t unit, Access access) {
  if (from == nullptr) return {};
  return {{access.read(from + input_peephole * units + unit), access.read(from + forget_peephole * units + unit),
           access.read(from + output_peephole * units + unit)}};
}
