#include "plan/plan.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/ceil_div.hpp"
#include "common/checked_size.hpp"
#include "kernels/dispatch.hpp"

namespace lstm_native::plan {
namespace {

// The rows of an input projection that share one reading of the weights. More rows gain nothing: their pre-activations
// leave the cache before the steps read them.
constexpr index_t projected_rows = 128;
// A ragged batch has fewer rows towards its end. This many steps at once keep these rows from reading the weights at
// every step.
constexpr index_t fewest_ragged_steps = 4;

// The steps by which a layer follows the layer below in a wavefront. With few steps its thread begins early; with more
// steps the input projection reads its weights less often.
constexpr index_t wavefront_steps = 8;

// Rows of a step from which W_ih is multiplied in each step with packed weights, beside W_hh, and not for a chunk of
// steps before: pre-activations then stay in registers, while the weights are read ahead. Time of the former over the
// latter on one core of an AMD EPYC (Zen 4), in float32 and 8 bits: 0.91 and 0.95 at 100,8,512; 0.91 and 0.92 at
// 25,64,512; 0.88 and 0.90 at 25,8,1024; but 1.24 and 0.89 at 25,4,1024.
constexpr index_t rows_worth_fusing = 8;

Problem checked(Problem problem) {
  check(problem);
  return problem;
}

}  // namespace

int format_named(const kernels::KernelTable& table, Dtype dtype, const std::string& name) {
  const auto place_in = [&](const auto& kernels) {
    const auto* end = kernels.formats + kernels.format_count;
    const auto* found = std::find_if(kernels.formats, end, [&](const auto& each) { return name == each.format.name; });
    if (found == end) throw std::invalid_argument("format: unexpected name");
    return static_cast<int>(found - kernels.formats);
  };
  return dtype == Dtype::float32 ? place_in(table.float32) : place_in(table.float64);
}

Span part_of(index_t total, int parts, int k) {
  const index_t size = total / parts;
  const index_t longer = total % parts;  // this many parts are longer by one
  const index_t begin = k * size + std::min<index_t>(k, longer);
  return {begin, begin + size + (k < longer ? 1 : 0)};
}

Plan::Plan(Problem unchecked_problem, const Storage& arrays, bool to_run)
    : problem(checked(std::move(unchecked_problem))),
      rows(problem, /*steps_listed=*/to_run),
      kernels(kernels::in_use()),
      storage(arrays),
      lanes(kernels.vector_bytes / static_cast<index_t>(arrays.dtype)),
      blocks(ceil_div(problem.cell_size, lanes)),
      output_blocks(problem.projects() ? ceil_div(problem.output_size, gate_count * lanes) : 0),
      chunk_steps(std::max(problem.ragged() ? fewest_ragged_steps : index_t{1},
                           (projected_rows + problem.batch - 1) / std::max<index_t>(problem.batch, 1))),
      wavefront(false),
      threads(1),
      layers_{} {
  if (problem.forced_split.units > blocks) {
    throw std::invalid_argument("split has more groups than there are blocks of units");
  }
  for (index_t k = 0; k < different_layers(); ++k) layers_[k].work = work_of(k);
  choose_threads();
  if (wavefront) chunk_steps = wavefront_steps;
  chunk_steps = std::min(chunk_steps, problem.seq_len);
  checked_product({chunk_steps, problem.batch});
  for (index_t k = 0; k < different_layers(); ++k) choose_paths(k);
}

LayerWork Plan::work_of(index_t layer) const {
  LayerWork work{};
  work.steps = problem.seq_len;
  work.active_rows = static_cast<double>(rows.total()) / static_cast<double>(problem.seq_len);
  work.input_size = problem.layer_input_size(layer);
  work.hidden_size = problem.output_size;
  work.blocks = blocks;
  work.lanes = lanes;
  work.directions = problem.num_directions;
  work.element_bytes = static_cast<index_t>(storage.dtype);
  const kernels::WeightFormat& format = format_of(kernels, storage);
  work.weight_bytes = format.bytes;
  work.columns_at_once = format.columns_at_once;
  work.input_terms = format.input_terms;
  work.fused_input =
      problem.seq_len == 1 || (storage.packed_weights && rows.total() >= rows_worth_fusing * problem.seq_len);
  work.output_blocks = output_blocks;
  return work;
}

void Plan::choose_threads() {
  if (problem.threads > 1 && rows.total() > 0) {
    for (index_t k = 0; k < different_layers(); ++k) {
      layers_[k].split = chosen_split(layers_[k].work, problem.threads);
      threads = std::max(threads, layers_[k].split.threads());
    }
    // Plain weights are excluded: a wavefront has chunks of another size, which would change BLAS's bits.
    const bool possible = storage.packed_weights && problem.num_layers > 1 && problem.num_directions == 1 &&
                          !problem.reverse && problem.dropout == 0.0 && problem.recurrent_dropout == 0.0 &&
                          problem.seq_len >= 2 * wavefront_steps && problem.forced_split.threads() == 0;
    const int layers = static_cast<int>(std::min<index_t>(problem.num_layers, problem.threads));
    if (possible && estimated_wavefront_seconds(layers) < estimated_layer_by_layer_seconds(problem.threads)) {
      wavefront = true;
      threads = layers;
    }
  }
  for (LayerPlan& layer : layers_) {
    if (wavefront || threads == 1) {
      layer.split = Split{};
    } else if (threads < problem.threads) {
      layer.split = chosen_split(layer.work, threads);
    }
  }
}

void Plan::choose_paths(index_t index) {
  LayerPlan& layer = layers_[index];
  if (storage.packed_weights) {
    layer.projection_path = WeightPath::packed;
    const bool may_widen =
        storage.dtype == Dtype::float32 && step_kernels_of<float>(*this).widen != nullptr && !wavefront;
    layer.input_path = layer.hidden_path =
        may_widen ? path_of_halves(rows.total(), problem.seq_len) : WeightPath::packed;
  } else {
    // The outputs of a layer below are stored row after row.
    const index_t stride = rows.even_stride(storage.input_time_stride, storage.input_row_stride);
    const bool even_rows = index > 0 || blas_steps_over(stride, problem.input_size);
    const WeightUses uses{rows.total(), chunks() == 1 && problem.seq_len > 1, even_rows};
    layer.input_path = plain_input_path(uses, problem.cell_size, layer.work.input_size);
    layer.hidden_path = plain_hidden_path(uses);
    layer.projection_path = plain_projection_path(uses, problem.output_size);
  }
  layer.fuses_input = layer.work.fused_input && reads_panels(layer.input_path) && reads_panels(layer.hidden_path);
}

bool Plan::calls_blas() const {
  return std::any_of(layers_, layers_ + different_layers(),
                     [](const LayerPlan& layer) { return layer.input_path == WeightPath::blas; });
}

double Plan::estimated_wavefront_seconds(int team) const {
  // The time of the thread with the most layers, plus the time until the last thread begins.
  const double chunks = static_cast<double>(problem.seq_len) / static_cast<double>(wavefront_steps);
  const auto turns = static_cast<double>(ceil_div(problem.num_layers, team));
  const double longer = std::max(estimated_seconds(layer(0).work, Split{}), estimated_seconds(layer(1).work, Split{}));
  return longer * (turns + (team - 1) / chunks) + parallel_region_seconds;
}

double Plan::estimated_layer_by_layer_seconds(int team) const {
  const auto of_layer = [&](const LayerPlan& layer) {
    return estimated_seconds(layer.work, chosen_split(layer.work, team));
  };
  if (problem.num_layers == 1) return of_layer(layer(0));
  return of_layer(layer(0)) + static_cast<double>(problem.num_layers - 1) * of_layer(layer(1));
}

Split Plan::chosen_split(const LayerWork& work, int team) const {
  const Split& forced = problem.forced_split;
  return forced.threads() > 0 && forced.threads() <= team ? forced : choose_split(work, team);
}

Span Plan::batch_rows(int parts, int k) const {
  if (!problem.ragged()) return part_of(problem.batch, parts, k);
  // The row where the earlier parts have about their share of all steps.
  const auto boundary = [&](int part) {
    if (part == parts) return problem.batch;
    const index_t wanted = part_of(rows.total(), parts, part).begin;
    index_t steps = 0;
    index_t row = 0;
    while (row < problem.batch && 2 * (wanted - steps) > rows.length(row)) steps += rows.length(row++);
    return row;
  };
  return {boundary(k), boundary(k + 1)};
}

}  // namespace lstm_native::plan
