#include <algorithm>
#include <climits>
#include <stdexcept>

#include "cuda/calls.hpp"
#include "cuda/device_plan.hpp"
#include "cuda/plan_cache.hpp"

namespace lstm_native::cuda {
namespace {

constexpr index_t most_lanes = 4;
// Steps by which a layer follows the one below. Not tuned on a device: enough rows for a chunk's input projection to
// fill the device, few enough steps for the next layer to begin early.
constexpr index_t wavefront_steps = 16;

Options checked(Options options) {
  plan::check(options.problem);
  return options;
}

void require_int(index_t size) {
  if (size > INT_MAX) throw std::length_error("a size of this call is more than cuBLAS can count");
}

// Whether each layer can follow the one below by some steps. Never with two directions, because a layer's first step
// then needs the last step of the layer below.
bool layers_overlap(const plan::Problem& problem) {
  return problem.num_directions == 1 && problem.num_layers > 1 && problem.seq_len > wavefront_steps;
}

// The split of a layer's steps in one launch; none: each step has its own launches.
std::optional<PersistentSplit> split_of(const Options& options) {
  const bool backward = options.pass == Pass::backward;
  if ((backward && !options.runs_steps) || options.step_loop == StepLoop::launches) return std::nullopt;
  const plan::Problem& problem = options.problem;
  const PersistentSizes sizes{
      problem.seq_len, problem.batch, problem.cell_size,      problem.num_directions, static_cast<int>(options.dtype),
      backward,        options.tf32,  layers_overlap(problem)};
  const DeviceLimits limits = limits_of(options.device);
  double clocks = 0;
  const std::optional<PersistentSplit> split = best_split(sizes, limits, clocks);
  const bool wanted = options.step_loop == StepLoop::persistent || is_faster(clocks, sizes, limits);
  return wanted ? split : std::nullopt;
}

}  // namespace

DevicePlan::DevicePlan(const Options& options)
    : options_(checked(options)),
      rows_(options_.problem),
      split_(split_of(options_)),
      wavefront_(!split_.has_value() && layers_overlap(options_.problem)) {
  const plan::Problem& problem = options_.problem;
  require_int(checked_product({problem.batch, problem.cell_size}));
  require_int(checked_product({problem.num_directions, gate_count, problem.cell_size}));
  require_int(problem.input_size);
  require_int(rows_.total());
  offsets_ = arena_.reserve<index_t>({problem.seq_len + 1});
  order_ = arena_.reserve<index_t>({problem.batch});
  call_place_ = arena_.reserve<std::uint64_t>({call_words});
  if (split_.has_value()) arrivals_place_ = arena_.reserve<unsigned>({states(), split_->row_blocks});
  const index_t wanted = wavefront_ ? problem.num_layers : !split_.has_value() && strands().size() > 1 ? 2 : 1;
  for (index_t k = 0; k < std::min(wanted, most_lanes); ++k) lanes_.push_back(lane_pool().take(options_.device));
  if (wavefront_) {
    for (index_t layer = 0; layer < problem.num_layers; ++layer) chunk_ends_.push_back(make_event());
  }
  used_ = make_event();
}

DevicePlan::~DevicePlan() {
  try {
    const CurrentDevice current(options_.device);
    const cudaStream_t stream = lanes_[0].stream.get();
    (void)cudaStreamWaitEvent(stream, used_.get(), 0);
    arena_.release(stream);
    graph_ = {};
    for (Lane& lane : lanes_) lane_pool().give_back(options_.device, std::move(lane));
  } catch (...) {  // the device is lost, with all that was on it
  }
}

void DevicePlan::allocate() {
  const cudaStream_t stream = lanes_[0].stream.get();
  arena_.allocate(stream);
  std::vector<index_t> offsets;
  std::vector<index_t> order;
  for (index_t step = 0; step <= problem().seq_len; ++step) offsets.push_back(rows_.offset(step));
  for (index_t row = 0; row < problem().batch; ++row) order.push_back(rows_.callers_row(row));
  device_rows_ = {arena_.at(offsets_), arena_.at(order_), problem().seq_len};
  call_ = arena_.at(call_place_);
  arrivals_ = arena_.at(arrivals_place_);
  const auto upload = [&](const DeviceSpan<index_t>& to, const std::vector<index_t>& from) {
    check(cudaMemcpyAsync(to.data, from.data(), from.size() * sizeof(index_t), cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync");
  };
  upload(device_rows_.offsets, offsets);
  if (!order.empty()) upload(device_rows_.order, order);
  check(cudaEventRecord(used_.get(), stream), "cudaEventRecord");
}

namespace {

__global__ void set_call(DeviceSpan<std::uint64_t> call, DeviceSpan<unsigned> arrivals, std::uint64_t tape,
                         std::uint64_t key, std::uint64_t counter) {
  const index_t column = column_of_thread();
  if (column < arrivals.size) arrivals.store(column, 0U);
  if (column != 0) return;
  call.store(tape_address, tape);
  call.store(dropout_key, key);
  call.store(dropout_counter, counter);
}

}  // namespace

void DevicePlan::begin(cudaStream_t stream, const void* tape, const rng::DropoutStream& dropout) {
  caller_ = main_ = stream;
  check(cudaStreamWaitEvent(stream, used_.get(), 0), "cudaStreamWaitEvent");
  lanes_[0].bind(stream);
  for (std::size_t k = 1; k < lanes_.size(); ++k) lanes_[k].bind(lanes_[k].stream.get());
  launch(stream, std::max<index_t>(1, arrivals_.size), 1, 1, set_call, call_, arrivals_,
         static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(tape)), dropout.key, dropout.counter);
}

void DevicePlan::end() { check(cudaEventRecord(used_.get(), caller_), "cudaEventRecord"); }

void DevicePlan::abandon() noexcept {
  for (const Lane& lane : lanes_) (void)cudaStreamSynchronize(lane.stream.get());
  (void)cudaStreamSynchronize(caller_);
  (void)cudaGetLastError();
}

void DevicePlan::begin_capture() {
  main_ = lanes_[0].stream.get();
  lanes_[0].bind(main_);
  check(cudaStreamBeginCapture(main_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
}

void DevicePlan::end_capture() {
  cudaGraph_t captured = nullptr;
  const cudaError_t error = cudaStreamEndCapture(main_, &captured);
  main_ = caller_;
  lanes_[0].bind(main_);
  check(error, "cudaStreamEndCapture");
  const Graph graph(captured);
  cudaGraphExec_t executable = nullptr;
  check(cudaGraphInstantiate(&executable, graph.get(), 0), "cudaGraphInstantiate");
  graph_ = ExecutableGraph(executable);
}

void DevicePlan::abandon_capture() {
  cudaGraph_t captured = nullptr;
  if (cudaStreamEndCapture(main_, &captured) == cudaSuccess) const Graph graph(captured);
  main_ = caller_;
}

void DevicePlan::fork() const {
  if (lanes_.size() == 1) return;
  check(cudaEventRecord(lanes_[0].event.get(), stream(0)), "cudaEventRecord");
  for (std::size_t k = 1; k < lanes_.size(); ++k) {
    check(cudaStreamWaitEvent(stream(k), lanes_[0].event.get(), 0), "cudaStreamWaitEvent");
  }
}

void DevicePlan::join() const {
  for (std::size_t k = 1; k < lanes_.size(); ++k) hand_over(k, 0);
}

void DevicePlan::hand_over(std::size_t earlier, std::size_t later) const {
  if (earlier != later) order(stream(earlier), stream(later), lanes_[earlier].event);
}

std::vector<Chunk> DevicePlan::chunks() const {
  const index_t size = wavefront_ ? wavefront_steps : problem().seq_len;
  std::vector<Chunk> chunks;
  for (index_t begin = 0; begin < problem().seq_len; begin += size) {
    chunks.push_back({begin, std::min(begin + size, problem().seq_len)});
  }
  return chunks;
}

index_t DevicePlan::rows_of_chunk() const {
  index_t most = 0;
  for (const Chunk& chunk : chunks()) most = std::max(most, rows_.offset(chunk.end) - rows_.offset(chunk.begin));
  return most;
}

void DevicePlan::wait_for_chunk(index_t layer, std::size_t lane) const {
  if (lane_of(layer) == lane) return;
  check(cudaStreamWaitEvent(stream(lane), chunk_ends_[static_cast<std::size_t>(layer)].get(), 0),
        "cudaStreamWaitEvent");
}

void DevicePlan::end_chunk(index_t layer, std::size_t lane) const {
  check(cudaEventRecord(chunk_ends_[static_cast<std::size_t>(layer)].get(), stream(lane)), "cudaEventRecord");
}

std::vector<Strand> DevicePlan::strands() const {
  if (problem().num_directions == 1) return {{0, 1, 0}};
  if (!problem().ragged()) return {{0, 2, 0}};
  return {{0, 1, 0}, {1, 1, 1}};
}

void clear_plans() {
  plan_cache().clear();
  lane_pool().clear();
}

std::pair<std::size_t, index_t> idle_plans() { return plan_cache().count_and_bytes(); }

LayerDropout DevicePlan::dropout_of(index_t layer) const {
  if (layer + 1 == problem().num_layers || problem().dropout == 0.0) return {{}, 0};
  return {rng::dropout_rule(problem().dropout),
          static_cast<std::uint64_t>(layer * rows_.total() * problem().layer_output_size())};
}

}  // namespace lstm_native::cuda
