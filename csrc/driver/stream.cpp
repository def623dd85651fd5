#include "driver/stream.hpp"

#include <algorithm>

#include "common/checked_size.hpp"

namespace lstm_native::driver {
namespace {

template <class Real>
SequenceView<const Real> contiguous(const plan::Problem& problem, const Real* input) {
  return {input, problem.batch * problem.input_size, problem.input_size, 1};
}

}  // namespace

template <class Real>
Stream<Real>::Runner::Runner(const plan::Problem& problem, int format)
    : plan(problem, {dtype_of<Real>, format, /*packed_weights=*/true}),
      scratch(plan, plan::ScratchNeeds(plan), /*pool=*/nullptr),
      place(plan) {}

template <class Real>
Stream<Real>::Stream(const plan::Problem& problem, const PackedWeights& weights)
    : weights_(weights.cells_for<Real>(problem)),
      format_(weights.format()),
      one_step_(problem, weights.format()),
      hidden_elements_(checked_product({problem.num_layers, problem.batch, problem.output_size})),
      cell_elements_(checked_product({problem.num_layers, problem.batch, problem.cell_size})),
      hidden_{AlignedBuffer(hidden_elements_ * static_cast<index_t>(sizeof(Real))),
              AlignedBuffer(hidden_elements_ * static_cast<index_t>(sizeof(Real)))},
      cell_{AlignedBuffer(cell_elements_ * static_cast<index_t>(sizeof(Real))),
            AlignedBuffer(cell_elements_ * static_cast<index_t>(sizeof(Real)))} {
  std::fill(hidden(), hidden() + hidden_elements_, Real{0});
  std::fill(cell(), cell() + cell_elements_, Real{0});
}

template <class Real>
typename Stream<Real>::Runner& Stream<Real>::for_steps(index_t steps) {
  if (several_steps_.has_value() && several_steps_->plan.problem.seq_len == steps) return *several_steps_;
  plan::Problem longer = problem();
  longer.seq_len = steps;
  several_steps_.reset();
  return several_steps_.emplace(longer, format_);
}

template <class Real>
void Stream<Real>::run(index_t steps, const Real* input, Real* output, int most_threads, Interruption& interruption) {
  Runner& runner = steps == 1 ? one_step_ : for_steps(steps);
  const plan::Problem& sizes = runner.plan.problem;
  StackForward<Real> stack{};
  stack.input = contiguous(sizes, input);
  stack.hidden_initial = {hidden(), sizes.batch * sizes.output_size, sizes.output_size, 1};
  stack.cell_initial = {cell(), sizes.batch * sizes.cell_size, sizes.cell_size, 1};
  stack.weights = weights_;
  stack.output = {output, sizes.batch * sizes.output_size, sizes.output_size, 1};
  stack.hidden_final = memory_of(hidden_[1 - current_]);
  stack.cell_final = memory_of(cell_[1 - current_]);
  stack.blocks_descending = blocks_descending_;
  stack.most_threads = most_threads;
  stack_forward(runner.plan, stack, runner.scratch, runner.place.barriers(), interruption);
  if (interruption.requested()) {
    runner.place.reset();
    return;
  }
  current_ = 1 - current_;
  blocks_descending_ = !blocks_descending_;
}

template <class Real>
index_t Stream<Real>::bytes() const {
  const index_t scratch = one_step_.scratch.layout().elements +
                          (several_steps_.has_value() ? several_steps_->scratch.layout().elements : 0);
  return (scratch + 2 * (hidden_elements_ + cell_elements_)) * static_cast<index_t>(sizeof(Real));
}

template class Stream<float>;
template class Stream<double>;

}  // namespace lstm_native::driver
