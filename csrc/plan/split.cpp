#include "plan/split.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "common/ceil_div.hpp"

namespace lstm_native::plan {
namespace {

// Two cores of an AMD EPYC (Zen 3), AVX2: multiply-adds and bytes by `make limits`, the others fitted by
// hand to `make splits`. Other machines differ by factors that seldom change which split is the fastest.
constexpr double vector_multiply_add = 0.16e-9;  // of seconds, 32 bytes of lanes
constexpr double one_row_excess = 1.15;          // a single row loads every weight for one multiply-add
constexpr double l2_byte = 1.0 / 90e9;
constexpr double l3_byte = 1.0 / 72e9;
constexpr double memory_byte = 1.0 / 22e9;
constexpr double vector_of_gates = 25e-9;
constexpr double row_of_step = 4e-9;
constexpr double barrier = 250e-9;
constexpr double lateness = 1.04;       // of a step with a barrier: it waits for the last thread
constexpr double not_overlapped = 0.5;  // the part of the shorter one of multiply-adds and reading
constexpr double thread_gain = 0.97;    // a split must gain 3 % to be worth its threads

double cache_bytes(int name, double otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<double>(bytes) : otherwise;
}

double seconds_per_byte(double share, double all) {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const double l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 512e3);
  static const double l3 = cache_bytes(_SC_LEVEL3_CACHE_SIZE, 32e6);
#else
  constexpr double l2 = 512e3;
  constexpr double l3 = 32e6;
#endif
  if (share < 0.9 * l2) return l2_byte;
  return all < 0.6 * l3 ? l3_byte : memory_byte;
}

// One thread's parts of one step.
struct Step {
  double multiply_adds;
  double reading;
  double others;
};

Step step_of(const LayerWork& work, const Split& split) {
  const double rows = std::max(1.0, std::ceil(work.active_rows / split.rows));
  const auto blocks = static_cast<double>(ceil_div(work.blocks, split.units));
  const auto lanes = static_cast<double>(work.lanes);
  const double vectors = lanes * static_cast<double>(work.element_bytes) / 32.0;
  const auto input = static_cast<double>(work.input_size * work.input_terms);
  const double per_column = 4.0 * blocks * vectors / static_cast<double>(work.columns_at_once);
  const double excess = rows == 1.0 ? one_row_excess : 1.0;
  const auto recurrent_columns = static_cast<double>(work.step_columns());
  double share = 4.0 * blocks * lanes * recurrent_columns * static_cast<double>(work.weight_bytes);
  const auto output_blocks = static_cast<double>(ceil_div(work.output_blocks, split.units));
  const double projected = static_cast<double>(work.blocks) * lanes;
  share += 4.0 * output_blocks * lanes * projected * static_cast<double>(work.weight_bytes);
  const double all = share * split.units * static_cast<double>(work.directions);
  Step step{};
  const double multiplied = static_cast<double>(work.hidden_size) + (work.fused_input ? input : 0.0);
  step.multiply_adds = per_column * multiplied * rows * vector_multiply_add * excess;
  const double per_projected =
      4.0 * output_blocks * vectors * static_cast<double>(work.input_terms) / static_cast<double>(work.columns_at_once);
  step.multiply_adds += per_projected * projected * rows * vector_multiply_add * excess;
  step.reading = share * seconds_per_byte(share, all);
  step.others = rows * (blocks * vectors * vector_of_gates + row_of_step);
  if (!work.fused_input) step.others += per_column * input * rows * vector_multiply_add;
  if (split.units > 1) step.others += work.output_blocks > 0 ? 2 * barrier : barrier;
  return step;
}

double step_seconds(const Step& step, const Split& split) {
  const double products =
      std::max(step.multiply_adds, step.reading) + not_overlapped * std::min(step.multiply_adds, step.reading);
  return (products + step.others) * (split.units > 1 ? lateness : 1.0);
}

}  // namespace

double estimated_seconds(const LayerWork& work, const Split& split) {
  const Step step = step_of(work, split);
  const auto turns = static_cast<double>(ceil_div(work.directions, split.directions));
  return static_cast<double>(work.steps) * turns * step_seconds(step, split) +
         (split.threads() > 1 ? parallel_region_seconds : 0.0);
}

bool bound_by_reading(const LayerWork& work, const Split& split) {
  const Step step = step_of(work, split);
  return step.reading > step.multiply_adds;
}

Split choose_split(const LayerWork& work, int threads) {
  Split best;
  double least = estimated_seconds(work, best);
  for (int directions = 1; directions <= std::min<index_t>(threads, work.directions); ++directions) {
    const double threads_of_each = threads / directions;  // NOLINT(bugprone-integer-division): whole threads
    const int most_rows = static_cast<int>(std::min(threads_of_each, work.active_rows));
    for (int rows = 1; rows <= std::max(1, most_rows); rows = rows < 8 ? rows + 1 : rows * 2) {
      const int most_units = static_cast<int>(std::min<index_t>(threads / directions / rows, work.blocks));
      for (const int units : {1, most_units}) {
        const Split split{directions, rows, units};
        const double seconds = estimated_seconds(work, split);
        if (seconds < least * (split.threads() > best.threads() ? thread_gain : 1.0)) {
          best = split;
          least = seconds;
        }
      }
    }
  }
  return best;
}

}  // namespace lstm_native::plan
