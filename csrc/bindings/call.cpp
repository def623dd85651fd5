#include "bindings/call.hpp"

#include <stdexcept>
#include <string>

#include "bindings/results.hpp"
#include "bindings/weights.hpp"
#include "common/checked_size.hpp"
#include "common/default_threads.hpp"

namespace lstm_native::bindings {
namespace {

// The strides of the time axis and of the batch axis, in elements. The time stride of a packed sequence is 0.
struct Strides {
  index_t time, row;
};

Strides strides_of(const py::array& array, bool batch_first, index_t element_bytes) {
  const index_t last = array.ndim() - 1;
  const index_t width = array.shape(last);
  // Rows with gaps are copied to C order before they are read.
  const bool has_gaps = array.size() > 0 && width > 1 && array.strides(last) != element_bytes;
  if (last == 1) return {0, has_gaps ? width : array.strides(0) / element_bytes};
  const Strides strides = has_gaps ? Strides{array.shape(1) * width, width}
                                   : Strides{array.strides(0) / element_bytes, array.strides(1) / element_bytes};
  return batch_first ? Strides{strides.row, strides.time} : strides;
}

// Views of each cell's arrays in a flat weight. Every path can read these matrices in place.
template <class Real>
std::vector<driver::CellWeights<Real>> flat_cells(const plan::Plan& plan, const CallWeights& weights) {
  const plan::Problem& problem = plan.problem;
  if (static_cast<index_t>(weights.offsets->size()) != problem.states()) {
    throw std::invalid_argument("weights: one entry is needed per layer and direction");
  }
  const py::array array = array_of(weights.flat, "w");
  if (!py::isinstance<py::array_t<Real, py::array::c_style>>(array)) throw std::invalid_argument("w: unexpected dtype");
  const Real* data = read_only<Real>(array);
  if (reinterpret_cast<std::uintptr_t>(data) % alignof(Real) != 0) throw std::invalid_argument("w: not aligned");
  const index_t rows = gate_count * problem.cell_size;
  std::vector<driver::CellWeights<Real>> cells;
  cells.reserve(weights.offsets->size());
  const auto vector_at = [&](index_t offset, index_t count) {
    if (offset < 0 || count > array.size() || offset > array.size() - count)
      throw std::invalid_argument("w: too short");
    return data + offset;
  };
  const auto matrix = [&](index_t offset, index_t height, index_t columns) -> MatrixView<const Real> {
    return {vector_at(offset, checked_product({height, columns})), height, columns, columns, 1};
  };
  const auto vector = [&](index_t offset) -> VectorView<const Real> {
    return offset < 0 ? VectorView<const Real>{} : VectorView<const Real>{matrix(offset, rows, 1).data, 1};
  };
  for (const auto& [input, hidden, input_bias, hidden_bias, peephole, projection] : *weights.offsets) {
    const index_t columns = problem.layer_input_size(static_cast<index_t>(cells.size()) / problem.num_directions);
    driver::CellWeights<Real> cell;
    cell.input = matrix(input, rows, columns);
    cell.hidden = matrix(hidden, rows, problem.output_size);
    if (problem.projects()) cell.projection = matrix(projection, problem.output_size, problem.cell_size);
    cell.input_bias = vector(input_bias);
    cell.hidden_bias = vector(hidden_bias);
    if (peephole >= 0) cell.peephole = vector_at(peephole, peephole_count * problem.cell_size);
    cells.push_back(cell);
  }
  return cells;
}

// Calls with(array, view) for each matrix that its path can't read in place.
template <class Real, class With>
void for_each_unreadable(const plan::Plan& plan, std::vector<CellArrays>& arrays,
                         std::vector<driver::CellWeights<Real>>& views, const With& with) {
  for (std::size_t k = 0; k < arrays.size(); ++k) {
    const plan::LayerPlan& layer = plan.layer(static_cast<index_t>(k) / plan.problem.num_directions);
    const auto check = [&](plan::WeightPath path, py::object& array, MatrixView<const Real>& view) {
      if (view.data != nullptr && !driver::reads_in_place(path, view)) with(array, view);
    };
    check(layer.input_path, arrays[k].input, views[k].input);
    check(layer.hidden_path, arrays[k].hidden, views[k].hidden);
    check(layer.projection_path, arrays[k].projection, views[k].projection);
  }
}

template <class Real>
index_t copied_bytes_of(const plan::Plan& plan, std::vector<CellArrays>& arrays) {
  index_t copied = 0;
  auto views = views_of<Real>(plan.problem, arrays);
  for_each_unreadable<Real>(plan, arrays, views, [&](const py::object&, const MatrixView<const Real>& view) {
    copied += view.rows * view.columns * static_cast<index_t>(sizeof(Real));
  });
  return copied;
}

// Raises MemoryError for a shape whose bytes can't be counted. Sizes of 0 count as 1, as for NumPy: an empty batch may
// have any length.
template <class Real>
void require_countable(std::initializer_list<index_t> shape, const char* name) {
  try {
    index_t bytes = sizeof(Real);
    for (const index_t size : shape) bytes = checked_product({bytes, size == 0 ? 1 : size});
  } catch (const Uncountable&) {
    py::list sizes;
    for (const index_t size : shape) sizes.append(size);
    const py::str text =
        py::str("{}: {} of shape {} is larger than any memory").format(name, py::dtype::of<Real>(), py::tuple(sizes));
    PyErr_SetObject(PyExc_MemoryError, text.ptr());
    throw py::error_already_set();
  }
}

}  // namespace

Call call_of(py::handle call) {
  static const Field problem("problem"), input("input"), h_0("h_0"), c_0("c_0"), weights("weights"),
      batch_first("batch_first");
  CallWeights given;
  given.owner = weights.of(call);
  if (py::isinstance<driver::PackedWeights>(given.owner)) {
    given.packed = &py::cast<const driver::PackedWeights&>(given.owner);
  } else {
    given.cells = cells_of(given.owner);
  }
  return {description_of(problem.of(call)),
          array_of(input.of(call), "input"),
          array_of(h_0.of(call), "h_0"),
          array_of(c_0.of(call), "c_0"),
          std::move(given),
          batch_first.of<bool>(call),
          tape_form_of(call)};
}

plan::Plan plan_of(Call& call, Dtype dtype, bool to_run) {
  plan::Problem& problem = call.about.problem;
  if (problem.packed()) call.batch_first = false;
  if (call.input.ndim() != (problem.packed() ? 2 : 3)) {
    throw std::invalid_argument("input: unexpected number of dimensions");
  }
  if (problem.threads == 0) problem.threads = default_threads();
  const Strides strides = strides_of(call.input, call.batch_first, static_cast<index_t>(dtype));
  const driver::PackedWeights* weights = call.weights.packed;
  const int format = weights == nullptr ? 0 : weights->format();
  const plan::Storage storage{dtype, format, weights != nullptr, strides.time, strides.row};
  return {std::move(problem), storage, to_run};
}

template <class Real>
SequenceView<const Real> sequence_of(const SequenceShape& shape, const py::array& array, const char* name) {
  const plan::Problem& problem = shape.plan.problem;
  if (problem.packed()) {
    require_array<Real>(array, {shape.plan.rows.total(), shape.width}, name);
  } else if (shape.batch_first) {
    require_array<Real>(array, {problem.batch, problem.seq_len, shape.width}, name);
  } else {
    require_array<Real>(array, {problem.seq_len, problem.batch, shape.width}, name);
  }
  require_contiguous_rows<Real>(array, name);
  const Strides strides = strides_of(array, shape.batch_first, sizeof(Real));
  return {read_only<Real>(array), strides.time, strides.row, 1};
}

template <class Real>
StateView<const Real> states_of(const plan::Plan& plan, const py::array& array, index_t units, const char* name) {
  return state_view<Real>(array, plan.problem.states(), plan.problem.batch, units, name);
}

template <class Real>
NewSequence<Real>::NewSequence(const SequenceShape& shape, const char* name)
    : array([&] {
        const plan::Problem& problem = shape.plan.problem;
        if (problem.packed()) return new_array_of<Real>({shape.plan.rows.total(), shape.width});
        const index_t first = shape.batch_first ? problem.batch : problem.seq_len;
        const index_t second = shape.batch_first ? problem.seq_len : problem.batch;
        require_countable<Real>({first, second, shape.width}, name);
        return new_array_of<Real>({first, second, shape.width});
      }()) {
  const Strides strides = strides_of(array, shape.batch_first, sizeof(Real));
  view = {static_cast<Real*>(array.mutable_data()), strides.time, strides.row, 1};
}

template <class Real>
CellViews<Real>::CellViews(const plan::Plan& plan, CallWeights& weights) {
  if (weights.packed != nullptr) {
    data_ = weights.packed->cells_for<Real>(plan.problem);
    return;
  }
  if (weights.offsets != nullptr) {
    own_ = flat_cells<Real>(plan, weights);
  } else {
    own_ = views_of<Real>(plan.problem, weights.cells);
    for_each_unreadable<Real>(plan, weights.cells, own_, &copy_matrix<Real>);
  }
  data_ = own_.data();
}

index_t copied_bytes(const plan::Plan& plan, CallWeights& weights) {
  if (weights.packed != nullptr) return 0;
  return plan.storage.dtype == Dtype::float32 ? copied_bytes_of<float>(plan, weights.cells)
                                              : copied_bytes_of<double>(plan, weights.cells);
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                        \
  template struct NewSequence<Real>;                                                                         \
  template SequenceView<const Real> sequence_of<Real>(const SequenceShape&, const py::array&, const char*);  \
  template StateView<const Real> states_of<Real>(const plan::Plan&, const py::array&, index_t, const char*); \
  template class CellViews<Real>;
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::bindings
