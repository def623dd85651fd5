// bindings: the calls of one `LSTM`, which has its sizes and a flat weight.
#include <pybind11/stl.h>

#include "bindings/fast_path.hpp"
#include "bindings/register.hpp"
#include "bindings/results.hpp"
#include "bindings/run.hpp"
#include "bindings/safe_construction.hpp"

namespace lstm_native::bindings {
namespace {

py::array state_of(const rng::DropoutStream& masks) {
  auto state = new_array_of<std::int64_t>({2, 1});
  state.mutable_data()[0] = static_cast<std::int64_t>(masks.key);
  state.mutable_data()[1] = static_cast<std::int64_t>(masks.counter);
  return std::move(state);
}

class Operator {
 public:
  // sizes: a `_sizes.Sizes`; form: batch_first, a `_cell.Cell`, reverse.
  Operator(py::handle sizes, const py::tuple& form, index_t weight_size, std::vector<CellOffsets> offsets)
      : sizes_(stack_sizes_of(sizes)),
        batch_first_(py::cast<bool>(form[0])),
        cells_(cells_of_directions(form[1])),
        reverse_(py::cast<bool>(form[2])),
        weight_size_(weight_size),
        offsets_(std::move(offsets)) {}

  // weights: flat, or packed.
  py::tuple run(py::handle input, py::handle states, py::handle weights, py::handle given, bool training,
                int threads) const {
    Call call = call_with(input, states, batch_first_);
    if (py::isinstance<driver::PackedWeights>(weights)) {
      take_packed(call, weights, sizes_.num_layers, sizes_.num_directions == 2);
    } else {
      py::array flat = array_of(weights, "w");
      if (flat.size() != weight_size_) throw std::invalid_argument("w: unexpected number of elements");
      call.weights.flat = std::move(flat);
      call.weights.offsets = &offsets_;
    }
    const rng::DropoutStream masks = masks_of(given);
    call.about = {plan::problem_of(sizes_, extent_of(call, py::none()), masks.probability, threads), masks};
    call.about.problem.cells = cells_;
    call.about.problem.reverse = reverse_;
    if (training) call.tape = plan::TapeForm::gates;
    const Dtype dtype = dtype_of_array(call.input, "input");
    ForwardResults results = forward(std::move(call));
    if (!training && dtype == Dtype::float32) results.tape = new_array_of<float>({0, 1});
    if (!training && dtype == Dtype::float64) results.tape = new_array_of<double>({0, 1});
    return py::make_tuple(results.output, results.h_n, results.c_n, results.tape, state_of(masks));
  }

 private:
  plan::StackSizes sizes_;
  bool batch_first_;
  std::array<CellSpec, 2> cells_;
  bool reverse_;
  index_t weight_size_;
  std::vector<CellOffsets> offsets_;
};

}  // namespace

void register_operator(py::module_& module) {
  using namespace py::literals;
  using Construction = SafeConstruction<Operator>;
  py::class_<Operator, std::unique_ptr<Operator>> type(module, "Operator",
                                                       "What the calls of one LSTM have in common.");
  Construction::apply(type);
  type.def(Construction::factory<py::handle, py::tuple, index_t, std::vector<CellOffsets>>(), "sizes"_a, "form"_a,
           "weight_size"_a, "offsets"_a)
      .def(
          "run_if_plain",
          [](const Operator& self, py::handle input, py::handle states, py::handle weights, py::handle masks,
             bool training, int threads) {
            return unless_refused([&] { return self.run(input, states, weights, masks, training, threads); });
          },
          "input"_a, "states"_a, "weights"_a, "masks"_a, "training"_a, "threads"_a,
          "output, h_n, c_n, reserve, state; None where an argument needs a conversion, or is wrong.");
}

}  // namespace lstm_native::bindings
