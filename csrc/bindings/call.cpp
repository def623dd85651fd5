#include "bindings/call.hpp"

#include <stdexcept>
#include <string>

#include "bindings/results.hpp"
#include "common/checked_size.hpp"
#include "common/default_threads.hpp"

namespace lstm_native::bindings {
template <class Real>
MatrixView<const Real> projection_of(const plan::Problem& problem, const py::object& array) {
  if (array.is_none() == problem.projects()) throw std::invalid_argument("w_hr: not as the sizes say");
  if (array.is_none()) return {};
  return matrix_view<Real>(array_of(array, "w_hr"), problem.output_size, problem.cell_size, "w_hr");
}

namespace {

// How far apart elements of the time axis and of the batch axis are: 0 for the time axis of a packed sequence.
struct Strides {
  index_t time, row;
};

Strides strides_of(const py::array& array, bool batch_first, index_t element_bytes) {
  const index_t last = array.ndim() - 1;
  const index_t width = array.shape(last);
  // Such rows are copied before they are read, in C order.
  const bool has_gaps = array.size() > 0 && width > 1 && array.strides(last) != element_bytes;
  if (last == 1) return {0, has_gaps ? width : array.strides(0) / element_bytes};
  const Strides strides = has_gaps ? Strides{array.shape(1) * width, width}
                                   : Strides{array.strides(0) / element_bytes, array.strides(1) / element_bytes};
  return batch_first ? Strides{strides.row, strides.time} : strides;
}

void require_cells(const plan::Problem& problem, std::size_t count) {
  if (static_cast<index_t>(count) != problem.states()) {
    throw std::invalid_argument("weights: one entry is needed per layer and direction");
  }
}

template <class Real>
const std::vector<driver::CellWeights<Real>>& packed_cells(const plan::Plan& plan, const PackedWeights& packed) {
  const plan::StackSizes& sizes = packed.sizes();
  const plan::Problem& problem = plan.problem;
  if (packed.dtype() != dtype_of<Real>) throw std::invalid_argument("input: not of the packed weights' dtype");
  if (sizes.input_size != problem.input_size || sizes.cell_size != problem.cell_size ||
      sizes.output_size != problem.output_size || sizes.num_layers != problem.num_layers ||
      sizes.num_directions != problem.num_directions) {
    throw std::invalid_argument("input, states: not of the packed weights' sizes");
  }
  if (packed.has_peepholes() != problem.has_peepholes()) throw std::invalid_argument("peephole: not as the cell says");
  return packed.cells<Real>();
}

// Of one array, every path can read all matrices where they are.
template <class Real>
std::vector<driver::CellWeights<Real>> flat_cells(const plan::Plan& plan, const CallWeights& weights) {
  const plan::Problem& problem = plan.problem;
  require_cells(problem, weights.offsets->size());
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

// A matrix that its path can't read is replaced by a copy for the time of the call.
template <class Real>
MatrixView<const Real> readable_matrix(py::object& object, index_t columns, plan::WeightPath path, const char* name) {
  const py::array array = array_of(object, name);
  const index_t rows = array.ndim() == 2 ? array.shape(0) : 0;
  const MatrixView<const Real> view = matrix_view<Real>(array, rows, columns, name);
  if (driver::reads_in_place(path, view)) return view;
  object = py::array_t<Real, py::array::c_style | py::array::forcecast>(array);  // throws where memory is short
  return matrix_view<Real>(py::reinterpret_borrow<py::array>(object), rows, columns, name);
}

template <class Real>
std::vector<driver::CellWeights<Real>> plain_cells(const plan::Plan& plan, std::vector<CellArrays>& arrays) {
  const plan::Problem& problem = plan.problem;
  require_cells(problem, arrays.size());
  const index_t rows = gate_count * problem.cell_size;
  std::vector<driver::CellWeights<Real>> cells;
  cells.reserve(arrays.size());
  for (CellArrays& from : arrays) {
    const plan::LayerPlan& layer = plan.layer(static_cast<index_t>(cells.size()) / problem.num_directions);
    driver::CellWeights<Real> cell;
    cell.input = readable_matrix<Real>(from.input, layer.work.input_size, layer.input_path, "w_ih");
    cell.hidden = readable_matrix<Real>(from.hidden, problem.output_size, layer.hidden_path, "w_hh");
    if (cell.input.rows != rows || cell.hidden.rows != rows) throw std::invalid_argument("weights: unexpected rows");
    cell.projection = projection_of<Real>(problem, from.projection);
    if (problem.projects() && !driver::reads_in_place(layer.projection_path, cell.projection)) {
      from.projection = py::array_t<Real, py::array::c_style | py::array::forcecast>(from.projection);
      cell.projection = projection_of<Real>(problem, from.projection);
    }
    cell.input_bias = optional_vector_view<Real>(from.input_bias, rows, "b_ih");
    cell.hidden_bias = optional_vector_view<Real>(from.hidden_bias, rows, "b_hh");
    cell.peephole = peephole_of<Real>(problem, from.peephole);
    cells.push_back(cell);
  }
  return cells;
}

template <class Real>
index_t copied_elements(const plan::Plan& plan, const std::vector<CellArrays>& cells) {
  index_t copied = 0;
  index_t state = 0;
  for (const CellArrays& cell : cells) {
    const plan::LayerPlan& layer = plan.layer(state++ / plan.problem.num_directions);
    const auto count = [&](const py::object& object, index_t columns, plan::WeightPath path) {
      const py::array array = array_of(object, "weights");
      const auto view = matrix_view<Real>(array, gate_count * plan.problem.cell_size, columns, "weights");
      if (!driver::reads_in_place(path, view)) copied += array.size();
    };
    count(cell.input, layer.work.input_size, layer.input_path);
    count(cell.hidden, plan.problem.output_size, layer.hidden_path);
    if (!plan.problem.projects()) continue;
    const auto view = projection_of<Real>(plan.problem, cell.projection);
    if (!driver::reads_in_place(layer.projection_path, view)) copied += view.rows * view.columns;
  }
  return copied;
}

// NumPy can't count the bytes of some shapes; an empty batch may have any length.
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

template <class Real>
const Real* peephole_of(const plan::Problem& problem, py::object& array) {
  if (array.is_none() == problem.has_peepholes()) throw std::invalid_argument("peephole: not as the cell says");
  return optional_contiguous_vector<Real>(array, peephole_count * problem.cell_size, "peephole");
}

Call call_of(py::handle call) {
  static const Field problem("problem"), input("input"), h_0("h_0"), c_0("c_0"), weights("weights"),
      batch_first("batch_first");
  CallWeights given;
  given.owner = weights.of(call);
  if (py::isinstance<PackedWeights>(given.owner)) {
    given.packed = &py::cast<const PackedWeights&>(given.owner);
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
  const PackedWeights* weights = call.weights.packed;
  const plan::Storage storage{dtype, weights == nullptr ? plan::WeightDtype::native : weights->weight_dtype(),
                              weights != nullptr, strides.time, strides.row};
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
    packed_ = &packed_cells<Real>(plan, *weights.packed);
  } else {
    own_ = weights.offsets != nullptr ? flat_cells<Real>(plan, weights) : plain_cells<Real>(plan, weights.cells);
  }
}

index_t copied_bytes(const plan::Plan& plan, const CallWeights& weights) {
  return plan.storage.dtype == Dtype::float32
             ? copied_elements<float>(plan, weights.cells) * static_cast<index_t>(sizeof(float))
             : copied_elements<double>(plan, weights.cells) * static_cast<index_t>(sizeof(double));
}

#define LSTM_NATIVE_INSTANTIATE(Real)                                                                        \
  template const Real* peephole_of<Real>(const plan::Problem&, py::object&);                                 \
  template MatrixView<const Real> projection_of<Real>(const plan::Problem&, const py::object&);              \
  template struct NewSequence<Real>;                                                                         \
  template SequenceView<const Real> sequence_of<Real>(const SequenceShape&, const py::array&, const char*);  \
  template StateView<const Real> states_of<Real>(const plan::Plan&, const py::array&, index_t, const char*); \
  template class CellViews<Real>;
LSTM_NATIVE_INSTANTIATE(float)
LSTM_NATIVE_INSTANTIATE(double)
#undef LSTM_NATIVE_INSTANTIATE

}  // namespace lstm_native::bindings
