// Passes over arrays: activations, packing, sums and products over rows.
#include "check.hpp"

namespace lstm_native::tests {
namespace {

std::string sized(const char* what, index_t count) { return std::string(what) + ", " + std::to_string(count); }

template <class Real>
void check_activations(const kernels::KernelsOf<Real>& kernels, Checks& checks) {
  for (const index_t count : {1, 5, 64, 1003}) {
    Values<Real> in = draw<Real>(count);
    for (Real& x : in) x *= Real{30};
    Values<Real> out(in.size());
    Reference expected;
    kernels.sigmoid(in.data(), out.data(), count);
    for (const Real x : in) expected.push_back(sigmoid(static_cast<double>(x)));
    checks.close(out, expected, sized("sigmoid", count));
    expected.clear();
    kernels.tanh(in.data(), out.data(), count);
    for (const Real x : in) expected.push_back(std::tanh(static_cast<double>(x)));
    checks.close(out, expected, sized("tanh", count));
  }
}

template <class Real>
void check_packing(const kernels::KernelsOf<Real>& kernels, index_t lanes, Checks& checks) {
  for (const index_t size : {index_t{1}, lanes, 2 * lanes + 3}) {
    for (index_t count = 1; count <= lanes; ++count) {
      const Values<Real> from = draw<Real>(count * size);
      Values<Real> to(at(size * lanes));
      kernels.pack_rows({from.data(), size, count, size, to.data(), lanes});
      Reference expected;
      for (index_t k = 0; k < size; ++k) {
        for (index_t lane = 0; lane < lanes; ++lane) {
          expected.push_back(lane < count ? static_cast<double>(from[at(lane * size + k)]) : 0.0);
        }
      }
      checks.close(to, expected, sized("packed rows", count));
    }
  }
}

template <class Real>
void check_sums(const kernels::KernelsOf<Real>& kernels, Checks& checks) {
  for (const index_t columns : {1, 19, 300}) {
    constexpr index_t rows = 7;
    const Values<Real> from = draw<Real>(rows * columns);
    Values<Real> to = draw<Real>(columns);
    Reference expected(to.begin(), to.end());
    kernels.backward.sum_of_rows({from.data(), rows, columns, columns, to.data()});
    for (std::size_t k = 0; k < from.size(); ++k) expected[k % to.size()] += static_cast<double>(from[k]);
    checks.close(to, expected, sized("sum of rows", columns));
  }
}

template <class Real>
void check_sums_of_products(const kernels::KernelsOf<Real>& kernels, Checks& checks) {
  for (const index_t columns : {1, 19, 300}) {
    constexpr index_t rows = 7;
    const Values<Real> left = draw<Real>(rows * columns);
    const Values<Real> right = draw<Real>(rows * columns);
    Values<Real> to = draw<Real>(columns);
    Reference expected(to.begin(), to.end());
    kernels.backward.sum_of_products({rows, columns, left.data(), columns, right.data(), columns, to.data()});
    for (std::size_t k = 0; k < left.size(); ++k) {
      expected[k % to.size()] += static_cast<double>(left[k]) * static_cast<double>(right[k]);
    }
    checks.close(to, expected, sized("sum of products", columns));
  }
}

template <class Real>
void check_products(const kernels::KernelsOf<Real>& kernels, Checks& checks) {
  for (const index_t rows : {1, 300}) {
    for (const index_t columns : {1, 13, 50}) {
      constexpr index_t left_columns = 17;
      const Values<Real> left = draw<Real>(rows * left_columns);
      const Values<Real> right = draw<Real>(rows * columns);
      Values<Real> result = draw<Real>(left_columns * columns);
      Reference expected(result.begin(), result.end());
      kernels.backward.product_over_rows(
          {rows, left.data(), left_columns, left_columns, right.data(), columns, columns, result.data(), columns});
      for (index_t r = 0; r < rows; ++r) {
        for (index_t j = 0; j < left_columns; ++j) {
          for (index_t k = 0; k < columns; ++k) {
            expected[at(j * columns + k)] +=
                static_cast<double>(left[at(r * left_columns + j)]) * static_cast<double>(right[at(r * columns + k)]);
          }
        }
      }
      checks.close(result, expected, sized("product over rows", columns));
    }
  }
}

template <class Real>
void check_hidden_states(const kernels::KernelsOf<Real>& kernels, Checks& checks) {
  for (const index_t units : {1, 21, 64}) {
    constexpr index_t rows = 3;
    const Values<Real> o = draw<Real>(rows * units);
    const Values<Real> c = draw<Real>(rows * units);
    for (const NamedCell& cell : cells()) {
      Values<Real> to(o.size());
      kernels.backward.hidden_states({o.data(), c.data(), to.data(), rows, units, units, units, units, cell.spec});
      Reference expected;
      for (std::size_t k = 0; k < o.size(); ++k) {
        const double kept = static_cast<double>(o[k]);
        const bool general = cell.spec.kind == CellKind::general;
        const double gate = general ? activated(cell.spec.gates, bounded(cell.spec, kept)) : kept;
        expected.push_back(gate * activated(cell.spec.output, static_cast<double>(c[k])));
      }
      checks.close(to, expected, sized((std::string("hidden states, ") + cell.name).c_str(), units));
    }
  }
}

}  // namespace

template <class Real>
void check_passes(const kernels::KernelTable& table, Checks& checks) {
  const auto& kernels = kernels_of<Real>(table);
  check_activations(kernels, checks);
  check_packing(kernels, lanes_of<Real>(table), checks);
  check_sums(kernels, checks);
  check_sums_of_products(kernels, checks);
  check_products(kernels, checks);
  check_hidden_states(kernels, checks);
}

template void check_passes<float>(const kernels::KernelTable&, Checks&);
template void check_passes<double>(const kernels::KernelTable&, Checks&);

}  // namespace lstm_native::tests
