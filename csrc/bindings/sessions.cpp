// bindings: sessions.
#include "driver/sessions.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <variant>

#include "bindings/arrays.hpp"
#include "bindings/computation.hpp"
#include "bindings/description.hpp"
#include "bindings/fast_path.hpp"
#include "bindings/in_use.hpp"
#include "bindings/register.hpp"
#include "bindings/safe_construction.hpp"
#include "common/default_threads.hpp"

namespace lstm_native::bindings {
namespace {

// Which sessions are open. No id is given out twice: the place of a session is its id modulo the capacity, and the
// quotient counts the sessions that had this place before.
class Places {
 public:
  explicit Places(index_t capacity) : ids_(static_cast<std::size_t>(capacity), closed), seen_(ids_.size(), 0) {
    for (index_t place = capacity - 1; place >= 0; --place) free_.push_back(place);
    next_ = std::vector<index_t>(free_.rbegin(), free_.rend());
  }

  index_t open() {
    if (free_.empty()) {
      throw std::runtime_error("Sessions: all " + std::to_string(ids_.size()) + " are open; close one first");
    }
    const index_t place = free_.back();
    free_.pop_back();
    return ids_[index_of(place)] = next_[index_of(place)];
  }

  void close(index_t id) {
    const index_t place = place_of(id, "id");
    ids_[index_of(place)] = closed;
    next_[index_of(place)] += capacity();
    free_.push_back(place);
  }

  index_t place_of(index_t id, const char* argument) const {
    const index_t place = id < 0 ? 0 : id % capacity();
    if (id < 0 || ids_[index_of(place)] != id) {
      throw py::value_error(std::string(argument) + ": expected an open session, got " + std::to_string(id));
    }
    return place;
  }

  std::vector<index_t> places_of(const std::vector<index_t>& ids) {
    std::vector<index_t> places;
    places.reserve(ids.size());
    ++calls_;
    for (const index_t id : ids) {
      const index_t place = place_of(id, "ids");
      if (seen_[index_of(place)] == calls_) {
        throw py::value_error("ids: expected each session once, got " + std::to_string(id) + " twice");
      }
      seen_[index_of(place)] = calls_;
      places.push_back(place);
    }
    return places;
  }

  index_t capacity() const { return static_cast<index_t>(ids_.size()); }
  py::list open_ids() const {
    py::list open;
    for (const index_t id : ids_) {
      if (id != closed) open.append(id);
    }
    return open;
  }

 private:
  static constexpr index_t closed = -1;
  static std::size_t index_of(index_t place) { return static_cast<std::size_t>(place); }

  std::vector<index_t> ids_;         // of each place's session
  std::vector<index_t> next_;        // the id of each place's next session
  std::vector<index_t> free_;        // a stack: the last place is taken first
  std::vector<std::uint64_t> seen_;  // the last call of places_of that had the session
  std::uint64_t calls_ = 0;
};

// The Python layer lets one thread call at a time. That thread can call again in the middle of its call, by a signal's
// handler.
constexpr const char* sessions_in_use =
    "Sessions: expected the call before to be over, got one in the middle of it on the same thread (of a signal's "
    "handler); have the handler set a flag, and call after it";

// Sessions' states change only under the GIL, so a process forked meanwhile has whole states. Methods that only read
// can be called in the middle of another call.
class Sessions {
 public:
  // threads 0: the default.
  Sessions(py::object packed, index_t capacity, int threads, const py::object& cell)
      : packed_(std::move(packed)),
        follows_default_(threads == 0),
        places_(capacity),
        sessions_(make(py::cast<const driver::PackedWeights&>(packed_), capacity,
                       follows_default_ ? default_threads() : threads, cells_of_directions(cell))) {}

  index_t open() {
    const InUse guard(in_use_, sessions_in_use);
    const index_t id = places_.open();
    set_zeros(places_.place_of(id, "id"));
    return id;
  }
  void close(index_t id) {
    const InUse guard(in_use_, sessions_in_use);
    places_.close(id);
  }
  py::list open_ids() const { return places_.open_ids(); }

  // x: (ids, input_size), or (steps, ids, input_size) if `several`. None where an argument needs a conversion.
  py::object run(py::handle ids, py::handle x, bool several) {
    return unless_refused([&] {
      const InUse guard(in_use_, sessions_in_use);
      const std::vector<index_t> listed = integers_of(ids);
      return std::visit([&](auto& sessions) { return run_of(sessions, listed, x, several); }, sessions_);
    });
  }

  py::tuple state(index_t id) {
    const index_t place = places_.place_of(id, "id");
    return std::visit(
        [&](auto& sessions) -> py::tuple {
          using Real = std::remove_pointer_t<decltype(sessions.cell(0))>;
          const plan::Problem& sizes = sessions.problem();
          py::array_t<Real> hidden({sizes.num_layers, sizes.output_size}), cell({sizes.num_layers, sizes.cell_size});
          std::copy_n(sessions.hidden(place), sessions.hidden_elements(), hidden.mutable_data());
          std::copy_n(sessions.cell(place), sessions.cell_elements(), cell.mutable_data());
          return py::make_tuple(hidden, cell);
        },
        sessions_);
  }

  void set_state(index_t id, const py::array& hidden, const py::array& cell) {
    const InUse guard(in_use_, sessions_in_use);
    const index_t place = places_.place_of(id, "id");
    std::visit(
        [&](auto& sessions) {
          using Real = std::remove_pointer_t<decltype(sessions.cell(0))>;
          const plan::Problem& sizes = sessions.problem();
          const Real* h = usual_array<Real>(hidden, {sizes.num_layers, sizes.output_size});
          const Real* c = usual_array<Real>(cell, {sizes.num_layers, sizes.cell_size});
          if (h == nullptr || c == nullptr) throw std::invalid_argument("state: unexpected dtype, shape or order");
          std::copy_n(h, sessions.hidden_elements(), sessions.hidden(place));
          std::copy_n(c, sessions.cell_elements(), sessions.cell(place));
        },
        sessions_);
  }

  void reset(index_t id) {
    const InUse guard(in_use_, sessions_in_use);
    set_zeros(places_.place_of(id, "id"));
  }

  index_t bytes() const {
    return std::visit([](const auto& sessions) { return sessions.bytes(); }, sessions_);
  }
  // For a forked process: ends the call of a thread that exists in the parent only.
  void abandon_call() {
    in_use_ = false;
    std::visit([](auto& sessions) { sessions.release_streams(); }, sessions_);
  }

 private:
  using Either = std::variant<driver::Sessions<float>, driver::Sessions<double>>;

  static Either make(const driver::PackedWeights& packed, index_t capacity, int threads,
                     const std::array<CellSpec, 2>& cells) {
    const plan::Problem problem = packed.step_problem(/*batch=*/1, threads, cells);
    if (packed.dtype() == Dtype::float32) {
      return Either(std::in_place_type<driver::Sessions<float>>, problem, packed, capacity);
    }
    return Either(std::in_place_type<driver::Sessions<double>>, problem, packed, capacity);
  }

  void set_zeros(index_t place) {
    std::visit([&](auto& sessions) { sessions.reset(place); }, sessions_);
  }

  template <class Real>
  py::object run_of(driver::Sessions<Real>& sessions, const std::vector<index_t>& ids, py::handle x, bool several) {
    const plan::Problem& sizes = sessions.problem();
    const auto rows = static_cast<index_t>(ids.size());
    index_t steps = 1;
    if (several) {
      if (!py::isinstance<py::array>(x) || py::reinterpret_borrow<py::array>(x).ndim() != 3) return py::none();
      steps = py::reinterpret_borrow<py::array>(x).shape(0);
      if (steps < 1) return py::none();
    }
    const Real* input = several ? usual_array<Real>(x, {steps, rows, sizes.input_size})
                                : usual_array<Real>(x, {rows, sizes.input_size});
    if (input == nullptr) return py::none();
    const std::vector<index_t> places = places_.places_of(ids);
    py::array_t<Real> output =
        several ? py::array_t<Real>({steps, rows, sizes.output_size}) : py::array_t<Real>({rows, sizes.output_size});
    if (rows == 0) return std::move(output);
    driver::Stream<Real>& stream = sessions.gather(places);
    Real* to = output.mutable_data();
    const int threads = follows_default_ ? default_threads() : most_threads;
    without_gil([&](Interruption& interruption) { stream.run(steps, input, to, threads, interruption); });
    sessions.scatter(places, stream);
    return std::move(output);
  }

  py::object packed_;  // keeps the weights that the sessions read
  bool follows_default_;
  Places places_;
  Either sessions_;
  std::atomic<bool> in_use_{false};
};

}  // namespace

void register_sessions(py::module_& module) {
  using namespace py::literals;
  using Construction = SafeConstruction<Sessions>;
  py::class_<Sessions, std::unique_ptr<Sessions>> type(module, "Sessions",
                                                       "Sequences that share weights and advance in any combination.");
  Construction::apply(type);
  type.def(Construction::factory<py::object, index_t, int, py::object>(), "packed"_a, "capacity"_a, "threads"_a,
           "cell"_a)
      .def("open", &Sessions::open, "The id of a new session with a state of zeros.")
      .def("close", &Sessions::close, "id"_a)
      .def("open_ids", &Sessions::open_ids)
      .def("run", &Sessions::run, "ids"_a, "x"_a, "several"_a,
           "The hidden states, a new array; None where an argument needs a conversion.")
      .def("state", &Sessions::state, "id"_a, "Copies of the hidden and the cell state.")
      .def("set_state", &Sessions::set_state, "id"_a, "hidden"_a, "cell"_a)
      .def("reset", &Sessions::reset, "id"_a)
      .def("abandon_call", &Sessions::abandon_call)
      .def_property_readonly("nbytes", &Sessions::bytes);
}

}  // namespace lstm_native::bindings
