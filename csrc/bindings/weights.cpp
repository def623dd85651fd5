#include "bindings/weights.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "bindings/computation.hpp"
#include "bindings/register.hpp"
#include "bindings/safe_construction.hpp"
#include "common/float_control.hpp"
#include "kernels/dispatch.hpp"

namespace lstm_native::bindings {
namespace {

// Sizes as the arrays have them; whether they agree is checked when the views are made.
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

// 16-bit matrices compute in float32.
Dtype dtype_of_cells(const std::vector<CellArrays>& weights, plan::WeightDtype weight_dtype) {
  if (weight_dtype != plan::WeightDtype::native) return Dtype::float32;
  return dtype_of_array(array_of(weights.front().input, "w_ih"), "w_ih");
}

template <class Real, class Element>
struct GivenCell {
  MatrixView<const Element> input, hidden, projection;
  VectorView<const Real> input_bias, hidden_bias;
};

bool is_in_8_bits(plan::WeightDtype weight_dtype) {
  return weight_dtype == plan::WeightDtype::int8 || weight_dtype == plan::WeightDtype::int8_products;
}

// Matrices of floats are packed in 8 bits where the form says so.
template <class Element>
void pack_matrix(const MatrixView<const Element>& matrix, const plan::PackedForm& form, std::byte* to, Watch& watch) {
  const index_t block_bytes = plan::block_bytes(form, matrix.columns);
  for (index_t block = 0; block < form.blocks(matrix.rows); ++block, to += block_bytes) {
    if (watch.stops(gate_count * form.lanes * matrix.columns)) return;
    if constexpr (std::is_same_v<Element, float>) {
      if (form.format.bytes == 1) {
        plan::pack_block_in_8_bits(matrix, form, block, to);
        continue;
      }
    }
    plan::pack_block(matrix, form, block, reinterpret_cast<Element*>(to));
  }
}

plan::PackedForm form_of(Dtype dtype, plan::WeightDtype weight_dtype) {
  const kernels::KernelTable& table = kernels::in_use();
  return {table.vector_bytes / static_cast<index_t>(dtype), plan::format_of(table, dtype, weight_dtype)};
}

}  // namespace

plan::Problem problem_of_step(const PackedWeights& packed, index_t batch, int threads,
                              const std::array<CellSpec, 2>& cells) {
  const plan::StackSizes& sizes = packed.sizes();
  if (sizes.num_directions != 1) throw std::invalid_argument("packed: a stream has one direction");
  plan::Problem problem = plan::problem_of(sizes, {/*seq_len=*/1, batch}, /*dropout=*/0.0, threads);
  problem.cells = cells;
  if (packed.has_peepholes() != problem.has_peepholes()) throw std::invalid_argument("peephole: not as the cell says");
  return problem;
}

PackedWeights::PackedWeights(const py::object& listed, bool bidirectional, const std::string& format,
                             const py::object& cell)
    : PackedWeights(cells_of(listed), bidirectional, format) {
  cell_ = cells_of_directions(cell);
}

PackedWeights::PackedWeights(const std::vector<CellArrays>& weights, bool bidirectional, const std::string& format)
    : sizes_(sizes_of(weights, bidirectional)),
      dtype_(dtype_of_cells(weights, plan::weight_dtype_named(format))),
      weight_dtype_(plan::weight_dtype_named(format)),
      format_(format),
      layout_(sizes_, form_of(dtype_, weight_dtype_), static_cast<index_t>(dtype_)),
      memory_(layout_.bytes()) {
  plan::require_projectable(sizes_, layout_.form().format);
  if (dtype_ == Dtype::float64) {
    fill<double, double>(weights, float64_cells_);
  } else if (weight_dtype_ == plan::WeightDtype::native || is_in_8_bits(weight_dtype_)) {
    fill<float, float>(weights, float32_cells_);
  } else {
    fill<float, std::uint16_t>(weights, float32_cells_);
  }
}

template <class Real, class Element>
void PackedWeights::fill(const std::vector<CellArrays>& weights, std::vector<driver::CellWeights<Real>>& cells) {
  const plan::PackedForm& form = layout_.form();
  const index_t rows = gate_count * sizes_.cell_size;
  std::vector<GivenCell<Real, Element>> given;
  for (index_t cell = 0; cell < static_cast<index_t>(weights.size()); ++cell) {
    const CellArrays& arrays = weights[static_cast<std::size_t>(cell)];
    given.push_back({matrix_view<Element>(array_of(arrays.input, "w_ih"), rows, layout_.cell_input_size(cell), "w_ih"),
                     matrix_view<Element>(array_of(arrays.hidden, "w_hh"), rows, sizes_.output_size, "w_hh"),
                     sizes_.projects() ? matrix_view<Element>(array_of(arrays.projection, "w_hr"), sizes_.output_size,
                                                              sizes_.cell_size, "w_hr")
                                       : MatrixView<const Element>{},
                     optional_vector_view<Real>(arrays.input_bias, rows, "b_ih"),
                     optional_vector_view<Real>(arrays.hidden_bias, rows, "b_hh")});
    driver::CellWeights<Real> packed;
    packed.input_panels = memory_.data() + layout_.input(cell);
    packed.hidden_panels = memory_.data() + layout_.hidden(cell);
    packed.bias_panel = reinterpret_cast<const Real*>(memory_.data() + layout_.bias(cell));
    packed.peephole = kept_peephole<Real>(arrays.peephole);
    if (sizes_.projects()) {
      packed.projection_panels = memory_.data() + layout_.projection(cell);
      packed.projection_bias = reinterpret_cast<const Real*>(memory_.data() + layout_.projection_bias(cell));
    }
    cells.push_back(packed);
  }
  without_gil([&](Interruption& interruption) {
    const FloatControl control(/*flush=*/false);  // b_ih + b_hh are added; the rest is copied
    Watch watch(interruption, /*asks=*/true);
    for (index_t cell = 0; cell < static_cast<index_t>(given.size()) && !watch.stops(0); ++cell) {
      const GivenCell<Real, Element>& from = given[static_cast<std::size_t>(cell)];
      std::byte* place = memory_.data() + layout_.input(cell);
      for (const index_t end : {layout_.hidden(cell), layout_.bias(cell), layout_.projection(cell),
                                layout_.projection_bias(cell), layout_.input(cell + 1)}) {  // gaps, too
        constexpr auto line = static_cast<index_t>(cache_line_bytes);
        std::memset(memory_.data() + end - line, 0, cache_line_bytes);
      }
      pack_matrix(from.input, form, place, watch);
      pack_matrix(from.hidden, form, memory_.data() + layout_.hidden(cell), watch);
      plan::pack_bias(from.input_bias, from.hidden_bias, sizes_.cell_size, form.lanes,
                      reinterpret_cast<Real*>(memory_.data() + layout_.bias(cell)));
      if (!sizes_.projects()) continue;
      pack_matrix(from.projection, form.with(plan::RowOrder::consecutive), memory_.data() + layout_.projection(cell),
                  watch);
      std::memset(memory_.data() + layout_.projection_bias(cell), 0,
                  static_cast<std::size_t>(layout_.input(cell + 1) - layout_.projection_bias(cell)));
    }
  });
}

template <class Real>
const Real* PackedWeights::kept_peephole(py::object peephole) {
  const index_t count = peephole_count * sizes_.cell_size;
  const Real* from = optional_contiguous_vector<Real>(peephole, count, "peephole");
  if (from == nullptr) return nullptr;
  peepholes_.emplace_back(count * static_cast<index_t>(sizeof(Real)));
  auto* to = reinterpret_cast<Real*>(peepholes_.back().data());
  std::copy(from, from + count, to);
  return to;
}

index_t PackedWeights::bytes() const {
  const auto cells_with = static_cast<index_t>(peepholes_.size());
  return layout_.bytes() + cells_with * peephole_count * sizes_.cell_size * static_cast<index_t>(dtype_);
}

template <>
const std::vector<driver::CellWeights<float>>& PackedWeights::cells<float>() const {
  return float32_cells_;
}
template <>
const std::vector<driver::CellWeights<double>>& PackedWeights::cells<double>() const {
  return float64_cells_;
}

template <class Element>
py::array PackedWeights::unpacked(index_t offset, index_t rows, index_t columns, plan::RowOrder order) const {
  const plan::PackedForm form = layout_.form().with(order);
  const auto unpack = [&](const std::byte* packed, const plan::MatrixRow& row, Element* to) {
    if constexpr (std::is_same_v<Element, float>) {
      if (is_in_8_bits(weight_dtype_)) return plan::unpack_row_of_8_bits(packed, form, row, to);
    }
    plan::unpack_row(packed, form, row, to);
  };
  py::array_t<Element> matrix({rows, columns});
  const std::byte* from = memory_.data() + offset;
  Element* to = matrix.mutable_data();
  const index_t work = columns * form.lanes;  // each element is on a cache line of its own
  without_gil([&](Interruption& interruption) {
    Watch watch(interruption, /*asks=*/true);
    for (index_t row = 0; row < rows; ++row, to += columns) {
      unpack(from, {row, rows, columns}, to);
      if (watch.stops(work)) return;
    }
  });
  return std::move(matrix);
}

py::tuple PackedWeights::matrices(index_t cell) const {
  if (cell < 0 || cell >= sizes_.num_layers * sizes_.num_directions) throw std::out_of_range("cell");
  const auto all = [&](auto element) -> py::tuple {
    using Element = decltype(element);
    const index_t gates = gate_count * sizes_.cell_size;
    py::array input =
        unpacked<Element>(layout_.input(cell), gates, layout_.cell_input_size(cell), plan::RowOrder::gates);
    py::array hidden = unpacked<Element>(layout_.hidden(cell), gates, sizes_.output_size, plan::RowOrder::gates);
    if (!sizes_.projects()) return py::make_tuple(std::move(input), std::move(hidden));
    return py::make_tuple(
        std::move(input), std::move(hidden),
        unpacked<Element>(layout_.projection(cell), sizes_.output_size, sizes_.cell_size, plan::RowOrder::consecutive));
  };
  if (weight_dtype_ != plan::WeightDtype::native && !is_in_8_bits(weight_dtype_)) return all(std::uint16_t{});
  return dtype_ == Dtype::float64 ? all(double{}) : all(float{});
}

void register_weights(py::module_& module) {
  using namespace py::literals;
  using Construction = SafeConstruction<PackedWeights>;
  py::class_<PackedWeights, std::unique_ptr<PackedWeights>> type(
      module, "PackedWeights", "A stack's weights in the order that the kernels read them in.");
  Construction::apply(type);
  type.def(Construction::factory<const py::object&, bool, const std::string&, const py::object&>(), "weights"_a,
           "bidirectional"_a, "format"_a, "cell"_a)
      .def("matrices", &PackedWeights::matrices, "cell"_a,
           "w_ih, w_hh, and w_hr if there is one, of a cell (layer * directions + direction).")
      .def_property_readonly("nbytes", &PackedWeights::bytes)
      .def_property_readonly("format", [](const PackedWeights& packed) { return packed.format(); });
}

}  // namespace lstm_native::bindings
