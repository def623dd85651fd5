// cuda: what the plans of both passes share: lanes, memory, the active rows on the device, the graph of the step loop.
#pragma once

#include <vector>

#include "cuda/arena.hpp"
#include "cuda/copies.cuh"
#include "cuda/copy_jobs.cuh"
#include "cuda/gates.cuh"
#include "cuda/lanes.hpp"
#include "cuda/options.hpp"
#include "cuda/persistent_split.hpp"
#include "cuda/products.hpp"
#include "plan/active_rows.hpp"
#include "plan/tape.hpp"
#include "rng/dropout.hpp"

namespace lstm_native::cuda {

// Directions of a layer whose steps run together. Where each step has the same rows in both directions, both run
// together, by a batched product. Otherwise each direction has its own lane.
struct Strand {
  index_t first_direction;
  index_t directions;
  std::size_t lane;
};

// A range of steps in the order of a direction's time.
struct Chunk {
  index_t begin, end;
};

// The offsets of the input weights of each layer and direction, (4 * units, layer's input size), stored one after the
// other.
class InputWidths {
 public:
  explicit InputWidths(const plan::Problem& problem) {
    first_.push_back(0);
    for (index_t state = 0; state < problem.num_layers * problem.num_directions; ++state) {
      const index_t width = problem.layer_input_size(state / problem.num_directions);
      first_.push_back(checked_sum({first_.back(), checked_product({gate_count, problem.cell_size, width})}));
    }
  }
  index_t total() const { return first_.back(); }
  template <class Real>
  DeviceSpan<Real> of(const DeviceSpan<Real>& all, index_t state) const {
    const auto k = static_cast<std::size_t>(state);
    return {all.data + first_[k], first_[k + 1] - first_[k]};
  }

 private:
  std::vector<index_t> first_;
};

class DevicePlan {
 public:
  // Throws as plan::check does, std::length_error where a product's sizes don't fit an int, std::bad_alloc.
  explicit DevicePlan(const Options& options);
  virtual ~DevicePlan();
  DevicePlan(const DevicePlan&) = delete;
  DevicePlan& operator=(const DevicePlan&) = delete;

  const Options& options() const { return options_; }
  index_t bytes() const { return arena_.bytes(); }
  // Must be called after a call that failed: waits for the work that it had issued.
  void abandon() noexcept;
  const plan::Problem& problem() const { return options_.problem; }

 protected:
  // Derived constructors reserve, then call this.
  void allocate();

  // Enclose a call on a caller's stream, and order it after the plan's last call and before the next.
  void begin(cudaStream_t stream, const void* tape, const rng::DropoutStream& dropout);
  void end();

  // Runs body, which issues the steps to lanes: at once the first time, from then on as a graph, captured once. What
  // body uses must be the same for each call of the plan. A single launch gains nothing from a graph.
  template <class Body>
  void run_steps(const Body& body) {
    if (runs_++ == 0 || (split_.has_value() && problem().num_layers == 1)) {
      body();
      return;
    }
    if (graph_.get() == nullptr) {
      begin_capture();
      try {
        body();
      } catch (...) {
        abandon_capture();
        throw;
      }
      end_capture();
    }
    check(cudaGraphLaunch(graph_.get(), caller_), "cudaGraphLaunch");
  }

  cudaStream_t stream(std::size_t lane) const { return lane == 0 ? main_ : lanes_[lane].stream.get(); }
  const Blas& blas(std::size_t lane) const { return lanes_[lane].blas; }
  // Work that is issued to `later` from now on waits for the work that was issued to `earlier`.
  void hand_over(std::size_t earlier, std::size_t later) const;
  // Hand over from lane 0 to all others, and back.
  void fork() const;
  void join() const;

  // Layers overlap in a wavefront: each is a chunk of steps behind the one below. Never with two directions, because a
  // layer's first step then needs the last step of the layer below.
  bool wavefront() const { return wavefront_; }
  std::vector<Chunk> chunks() const;
  std::vector<Strand> strands() const;
  index_t rows_of_chunk() const;  // at most
  // Between layers in a wavefront: work issued to the lane next waits for the chunk that `layer` ended last.
  void wait_for_chunk(index_t layer, std::size_t lane) const;
  void end_chunk(index_t layer, std::size_t lane) const;
  std::size_t lane_of(index_t layer) const { return static_cast<std::size_t>(layer) % lanes_.size(); }

  index_t step_of(index_t direction, index_t k) const { return direction == 0 ? k : problem().seq_len - 1 - k; }
  index_t state_of(index_t layer, index_t direction) const { return layer * problem().num_directions + direction; }
  index_t states() const { return problem().num_layers * problem().num_directions; }
  index_t units() const { return problem().cell_size; }
  index_t gates() const { return gate_count * units(); }
  LayerDropout dropout_of(index_t layer) const;
  DeviceSpan<unsigned> arrivals_of(index_t state) const {
    return {arrivals_.data + state * split_->row_blocks, split_->row_blocks};
  }
  // Copies between callers' arrays and storage, on lane 0; by `copies` where rows have the same order in both.
  template <bool to_storage, class Real, class Callers>
  void copy(Copies<Real>& copies, const StateView<Callers>& callers, const DeviceSpan<Real>& storage) const {
    const index_t sizes[3] = {states(), problem().batch, units()};
    const auto span =
        strided_span<Callers>(callers.data, sizes, {callers.layer_stride, callers.row_stride, callers.unit_stride});
    if (problem().lengths.empty()) {
      add_copy<to_storage>(copies, span, storage, sizes);
    } else {
      launch(main_, problem().batch * units(), states(), 1, copy_states<Real, to_storage>, span, storage, device_rows_,
             problem().batch, units(), states());
    }
  }
  template <bool to_storage, class Real, class Callers>
  void copy(Copies<Real>& copies, const SequenceView<Callers>& callers, const DeviceSpan<Real>& storage,
            index_t width) const {
    const bool packed = problem().packed();
    const index_t sizes[3] = {packed ? 1 : problem().seq_len, packed ? rows_.total() : problem().batch, width};
    const auto span =
        strided_span<Callers>(callers.data, sizes, {callers.time_stride, callers.row_stride, callers.feature_stride});
    if (problem().lengths.empty()) {
      add_copy<to_storage>(copies, span, storage, sizes);
    } else {
      launch(main_, problem().batch * width, problem().seq_len, 1, copy_sequence<Real, to_storage>, span, storage,
             device_rows_, width);
    }
  }

  Options options_;
  plan::ActiveRows rows_;
  std::optional<PersistentSplit> split_;  // of each layer whose steps are one launch
  Arena arena_;
  DeviceRows device_rows_;
  DeviceSpan<std::uint64_t> call_;
  DeviceSpan<unsigned> arrivals_;  // of each layer, direction and row block: zero when the steps begin

 private:
  template <bool to_storage, class Real, class Callers>
  static void add_copy(Copies<Real>& copies, const StridedSpan<Callers>& callers, const DeviceSpan<Real>& storage,
                       const index_t (&sizes)[3]) {
    if constexpr (to_storage) {
      copies.add_to_storage(callers, storage, sizes);
    } else {
      copies.add_from_storage(storage, callers, sizes);
    }
  }
  void begin_capture();
  void end_capture();
  void abandon_capture();

  bool wavefront_;
  std::vector<Lane> lanes_;
  std::vector<Event> chunk_ends_;  // of each layer, in a wavefront
  Event used_;                     // the end of the last call
  cudaStream_t caller_ = nullptr;
  cudaStream_t main_ = nullptr;  // the stream of lane 0
  ExecutableGraph graph_;
  long runs_ = 0;
  Place<index_t> offsets_, order_;
  Place<std::uint64_t> call_place_;
  Place<unsigned> arrivals_place_;
};

}  // namespace lstm_native::cuda
