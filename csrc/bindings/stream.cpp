// bindings: streams.
#include "driver/stream.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <atomic>
#include <variant>

#include "bindings/arrays.hpp"
#include "bindings/computation.hpp"
#include "bindings/description.hpp"
#include "bindings/in_use.hpp"
#include "bindings/register.hpp"
#include "bindings/safe_construction.hpp"
#include "common/default_threads.hpp"

namespace lstm_native::bindings {
namespace {

constexpr const char* stream_in_use = "this Stream is in use by another thread; make one per thread";

template <class Real>
py::array_t<Real> copied(const plan::Problem& sizes, const Real* state, index_t units) {
  py::array_t<Real> array({sizes.num_layers, sizes.batch, units});
  std::copy(state, state + array.size(), array.mutable_data());
  return array;
}

class Stream {
 public:
  // threads 0: the default.
  Stream(py::object packed, index_t batch, int threads, const py::object& cell)
      : packed_(std::move(packed)),
        follows_default_(threads == 0),
        stream_(make(py::cast<const driver::PackedWeights&>(packed_), batch,
                     follows_default_ ? default_threads() : threads, cells_of_directions(cell))) {}

  // x: (batch, input_size), or (steps, batch, input_size) if `several`. None where an argument needs a conversion.
  py::object run(py::handle x, py::handle out, bool several) {
    return std::visit([&](auto& stream) { return run_of(stream, x, out, several); }, stream_);
  }

  // Repeats one step without returning to Python, for benchmarks.
  void repeat(py::handle x, py::handle out, index_t count) {
    std::visit(
        [&](auto& stream) {
          using Real = std::remove_pointer_t<decltype(stream.hidden())>;
          const plan::Problem& sizes = stream.problem();
          const Real* input = usual_array<Real>(x, {sizes.batch, sizes.input_size});
          const Real* output = usual_array<Real>(out, {sizes.batch, sizes.output_size});
          if (input == nullptr || output == nullptr) throw std::invalid_argument("x, out: unexpected arrays");
          const InUse guard(in_use_, stream_in_use);
          repeat_without_gil(count, [&](Interruption& interruption) {
            stream.run(1, input, const_cast<Real*>(output), threads_now(), interruption);
          });
        },
        stream_);
  }

  py::tuple state() {
    const InUse guard(in_use_, stream_in_use);
    return std::visit(
        [](auto& stream) -> py::tuple {
          const plan::Problem& sizes = stream.problem();
          return py::make_tuple(copied(sizes, stream.hidden(), sizes.output_size),
                                copied(sizes, stream.cell(), sizes.cell_size));
        },
        stream_);
  }

  void set_state(const py::array& hidden, const py::array& cell) {
    const InUse guard(in_use_, stream_in_use);
    std::visit(
        [&](auto& stream) {
          using Real = std::remove_pointer_t<decltype(stream.hidden())>;
          const plan::Problem& sizes = stream.problem();
          const Real* h = checked<Real>(sizes, hidden, sizes.output_size);
          const Real* c = checked<Real>(sizes, cell, sizes.cell_size);
          std::copy(h, h + stream.hidden_elements(), stream.hidden());
          std::copy(c, c + stream.cell_elements(), stream.cell());
        },
        stream_);
  }

  void reset() {
    const InUse guard(in_use_, stream_in_use);
    std::visit(
        [](auto& stream) {
          using Real = std::remove_pointer_t<decltype(stream.hidden())>;
          std::fill(stream.hidden(), stream.hidden() + stream.hidden_elements(), Real{0});
          std::fill(stream.cell(), stream.cell() + stream.cell_elements(), Real{0});
        },
        stream_);
  }

  index_t bytes() {
    const InUse guard(in_use_, stream_in_use);
    return std::visit([](const auto& stream) { return stream.bytes(); }, stream_);
  }

 private:
  using Either = std::variant<driver::Stream<float>, driver::Stream<double>>;

  static Either make(const driver::PackedWeights& packed, index_t batch, int threads,
                     const std::array<CellSpec, 2>& cells) {
    const plan::Problem problem = packed.step_problem(batch, threads, cells);
    if (packed.dtype() == Dtype::float32) {
      return Either(std::in_place_type<driver::Stream<float>>, problem, packed);
    }
    return Either(std::in_place_type<driver::Stream<double>>, problem, packed);
  }

  template <class Real>
  py::object run_of(driver::Stream<Real>& stream, py::handle x, py::handle out, bool several) {
    const plan::Problem& sizes = stream.problem();
    index_t steps = 1;
    if (several) {
      if (!py::isinstance<py::array>(x) || py::reinterpret_borrow<py::array>(x).ndim() != 3) return py::none();
      steps = py::reinterpret_borrow<py::array>(x).shape(0);
      if (steps < 1) return py::none();
    }
    const Real* input = several ? usual_array<Real>(x, {steps, sizes.batch, sizes.input_size})
                                : usual_array<Real>(x, {sizes.batch, sizes.input_size});
    if (input == nullptr) return py::none();
    py::object result;
    Real* output = nullptr;
    if (out.is_none()) {
      py::array_t<Real> fresh = several ? py::array_t<Real>({steps, sizes.batch, sizes.output_size})
                                        : py::array_t<Real>({sizes.batch, sizes.output_size});
      output = fresh.mutable_data();
      result = std::move(fresh);
    } else {
      const Real* given = several ? usual_array<Real>(out, {steps, sizes.batch, sizes.output_size})
                                  : usual_array<Real>(out, {sizes.batch, sizes.output_size});
      if (given == nullptr) return py::none();
      result = py::reinterpret_borrow<py::object>(out);
      if (!py::reinterpret_borrow<py::array>(out).writeable()) return py::none();
      output = const_cast<Real*>(given);
      const index_t count = steps * sizes.batch;
      if (output < input + count * sizes.input_size && input < output + count * sizes.output_size) return py::none();
    }
    const InUse guard(in_use_, stream_in_use);
    without_gil([&](Interruption& interruption) { stream.run(steps, input, output, threads_now(), interruption); });
    return result;
  }

  template <class Real>
  static const Real* checked(const plan::Problem& sizes, const py::array& state, index_t units) {
    const Real* data = usual_array<Real>(state, {sizes.num_layers, sizes.batch, units});
    if (data == nullptr) throw std::invalid_argument("state: unexpected dtype, shape or order");
    return data;
  }

  // A default that is lowered later holds for this stream, too. A higher one does not: the plan has fewer threads.
  int threads_now() const { return follows_default_ ? default_threads() : most_threads; }

  py::object packed_;  // keeps the weights that the stream reads
  bool follows_default_;
  Either stream_;
  std::atomic<bool> in_use_{false};
};

}  // namespace

void register_stream(py::module_& module) {
  using namespace py::literals;
  using Construction = SafeConstruction<Stream>;
  py::class_<Stream, std::unique_ptr<Stream>> type(module, "Stream", "A stack that is run a few steps at a time.");
  Construction::apply(type);
  type.def(Construction::factory<py::object, index_t, int, py::object>(), "packed"_a, "batch"_a, "threads"_a, "cell"_a)
      .def("run", &Stream::run, "x"_a, "out"_a, "several"_a,
           "The hidden states, in `out` or a new array; None where an argument needs a conversion.")
      .def("repeat", &Stream::repeat, "x"_a, "out"_a, "count"_a, "The same step many times, for benchmarks.")
      .def("state", &Stream::state, "Copies of the hidden and the cell state.")
      .def("set_state", &Stream::set_state, "hidden"_a, "cell"_a)
      .def("reset", &Stream::reset)
      .def_property_readonly("nbytes", &Stream::bytes);
}

}  // namespace lstm_native::bindings
