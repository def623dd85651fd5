// kernels/generic: how a vector at the end of a row is read and written: `count` lanes, or all of them.

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
