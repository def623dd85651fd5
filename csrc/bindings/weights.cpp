#include "bindings/weights.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "bindings/arrays.hpp"
#include "bindings/computation.hpp"
#include "bindings/register.hpp"
#include "bindings/results.hpp"
#include "bindings/safe_construction.hpp"
#include "driver/packed_weights.hpp"
#include "kernels/dispatch.hpp"

namespace lstm_native::bindings {
namespace {

// The sizes that the first arrays have. views_of checks that all arrays agree.
plan::StackSizes sizes_of(const std::vector<CellArrays>& weights, bool bidirectional) {
  if (weights.empty()) throw std::invalid_argument("weights: none");
  const py::array w_ih = array_of(weights.front().input, "w_ih");
  const py::array w_hh = array_of(weights.front().hidden, "w_hh");
  if (w_ih.ndim() != 2 || w_hh.ndim() != 2) throw std::invalid_argument("weights: matrices are needed");
  const index_t directions = bidirectional ? 2 : 1;
  const auto cells = static_cast<index_t>(weights.size());
  if (cells % directions != 0) throw std::invalid_argument("weights: one entry is needed per layer and direction");
  if (w_ih.shape(1) < 1 || w_hh.shape(1) < 1) throw std::invalid_argument("weights: sizes of at least 1 are needed");
  const bool projects = !weights.front().projection.is_none();
  const index_t units = projects ? w_hh.shape(0) / gate_count : w_hh.shape(1);
  if (projects && w_hh.shape(1) >= units) throw std::invalid_argument("w_hr: fewer units are needed than there are");
  return {w_ih.shape(1), units, w_hh.shape(1), cells / directions, directions};
}

using Owner = std::unique_ptr<driver::PackedWeights>;

// listed: of `_run.CellWeights`; format: its name in the kernel table; cell: a `_cell.Cell`.
Owner packed_of(const py::object& listed, bool bidirectional, const std::string& format, const py::object& cell) {
  std::vector<CellArrays> arrays = cells_of(listed);
  const plan::StackSizes sizes = sizes_of(arrays, bidirectional);
  plan::Problem problem = plan::problem_of(sizes, {/*seq_len=*/1, /*batch=*/1}, /*dropout=*/0.0, /*threads=*/1);
  problem.cells = cells_of_directions(cell);
  const auto pack = [&](auto real) {
    using Real = decltype(real);
    const int place = plan::format_named(kernels::in_use(), dtype_of<Real>, format);
    const std::vector<driver::CellWeights<Real>> plain = views_of<Real>(problem, arrays);
    Owner packed;
    without_gil([&](Interruption& interruption) {
      packed = std::make_unique<driver::PackedWeights>(sizes, place, problem.cells, plain, interruption);
    });
    return packed;
  };
  return dtype_of_array(array_of(arrays.front().input, "w_ih"), "w_ih") == Dtype::float32 ? pack(float{})
                                                                                          : pack(double{});
}

// The matrices of a cell.
py::tuple matrices(const driver::PackedWeights& packed, index_t cell) {
  const plan::StackSizes& sizes = packed.sizes();
  if (cell < 0 || cell >= sizes.num_layers * sizes.num_directions) throw std::out_of_range("cell");
  const auto all = [&](auto real) -> py::tuple {
    const auto one = [&](const plan::PackedMatrix& matrix) {
      auto array = new_array_of<decltype(real)>({matrix.rows, matrix.columns});
      auto* to = array.mutable_data();
      without_gil([&](Interruption& interruption) { packed.unpack(matrix, to, interruption); });
      return array;
    };
    const plan::PackedLayout& layout = packed.layout();
    if (!sizes.projects()) return py::make_tuple(one(layout.input(cell)), one(layout.hidden(cell)));
    return py::make_tuple(one(layout.input(cell)), one(layout.hidden(cell)), one(layout.projection(cell)));
  };
  return packed.dtype() == Dtype::float32 ? all(float{}) : all(double{});
}

// What a format can store.
py::dict storable(const std::string& name) {
  const kernels::KernelTable& table = kernels::in_use();
  const kernels::WeightFormat& format =
      plan::format_of(table, {Dtype::float32, plan::format_named(table, Dtype::float32, name)});
  py::dict limits;
  limits["finite_only"] = format.finite_only;
  limits["infinite_from"] = format.infinite_from;
  limits["most_columns"] = format.most_columns;
  return limits;
}

}  // namespace

template <class Real>
std::vector<driver::CellWeights<Real>> views_of(const plan::Problem& problem, std::vector<CellArrays>& arrays) {
  if (static_cast<index_t>(arrays.size()) != problem.states()) {
    throw std::invalid_argument("weights: one entry is needed per layer and direction");
  }
  const index_t rows = gate_count * problem.cell_size;
  std::vector<driver::CellWeights<Real>> views;
  views.reserve(arrays.size());
  for (CellArrays& from : arrays) {
    const index_t columns = problem.layer_input_size(static_cast<index_t>(views.size()) / problem.num_directions);
    driver::CellWeights<Real> cell;
    cell.input = matrix_view<Real>(array_of(from.input, "w_ih"), rows, columns, "w_ih");
    cell.hidden = matrix_view<Real>(array_of(from.hidden, "w_hh"), rows, problem.output_size, "w_hh");
    cell.input_bias = optional_vector_view<Real>(from.input_bias, rows, "b_ih");
    cell.hidden_bias = optional_vector_view<Real>(from.hidden_bias, rows, "b_hh");
    if (from.projection.is_none() == problem.projects()) throw std::invalid_argument("w_hr: not as the sizes say");
    if (problem.projects()) {
      cell.projection =
          matrix_view<Real>(array_of(from.projection, "w_hr"), problem.output_size, problem.cell_size, "w_hr");
    }
    if (from.peephole.is_none() == problem.has_peepholes()) {
      throw std::invalid_argument("peephole: not as the cell says");
    }
    cell.peephole = optional_contiguous_vector<Real>(from.peephole, peephole_count * problem.cell_size, "peephole");
    views.push_back(cell);
  }
  return views;
}

template <class Real>
void copy_matrix(py::object& array, MatrixView<const Real>& view) {
  array = py::array_t<Real, py::array::c_style | py::array::forcecast>(array);  // throws where memory is short
  view = matrix_view<Real>(py::reinterpret_borrow<py::array>(array), view.rows, view.columns, "weights");
}

template std::vector<driver::CellWeights<float>> views_of(const plan::Problem&, std::vector<CellArrays>&);
template std::vector<driver::CellWeights<double>> views_of(const plan::Problem&, std::vector<CellArrays>&);
template void copy_matrix(py::object&, MatrixView<const float>&);
template void copy_matrix(py::object&, MatrixView<const double>&);

void register_weights(py::module_& module) {
  using namespace py::literals;
  using driver::PackedWeights;
  py::class_<PackedWeights, Owner> type(module, "PackedWeights",
                                        "A stack's weights in the order that the kernels read them in.");
  SafeConstruction<PackedWeights>::apply(type);
  type.def(py::init(&packed_of), "weights"_a, "bidirectional"_a, "format"_a, "cell"_a)
      .def("matrices", &matrices, "cell"_a,
           "w_ih, w_hh, and w_hr if there is one, of a cell (layer * directions + direction).")
      .def_property_readonly("nbytes", &PackedWeights::bytes);
  module.def("storable", &storable, "format"_a, "Which values and how many columns a format of float32 can store.");
}

}  // namespace lstm_native::bindings
