#include "driver/recomputation.hpp"

#include <algorithm>

namespace lstm_native::driver {
namespace {

// Whether the products of input and hidden state are computed together, without a pass through memory between them.
// That changes no order of sums. It pays off if a block's weights for both leave room in L2 for a chunk's rows (against
// a pullback without recompute, 25,64,1024 took 1.37 instead of 1.34 times as long, and 200,8,32 takes 1.29 instead
// of 1.36 times as long, on one core of an AMD EPYC Zen 5, whose L2 has 1 MB; `make training`).
template <class Real>
bool computes_gates_in_one_go(const plan::Plan& plan, const plan::LayerPlan& layer) {
  constexpr index_t most_bytes = index_t{1} << 18;
  const index_t columns = layer.work.input_size + layer.work.hidden_size;
  return layer.input_path == plan::WeightPath::packed_per_call &&
         layer.hidden_path == plan::WeightPath::packed_per_call &&
         columns * plan.block_elements() * static_cast<index_t>(sizeof(Real)) <= most_bytes;
}

plan::ScratchNeeds needs_of(const plan::Plan& plan) {
  plan::ScratchNeeds needs(plan);
  needs.steps_at_once = true;
  needs.projection = false;            // the hidden states are known
  needs.input_block_by_block = false;  // the panels are read together with those of W_hh
  return needs;
}

}  // namespace

template <class Real>
Recomputation<Real>::Recomputation(const plan::Plan& plan, const StackBackward<Real>& stack)
    : plan_(plan), scratch_(plan, needs_of(plan), current_pool()), place_(plan) {
  stack_.input = stack.forward.input;
  stack_.hidden_initial = stack.hidden_initial;
  stack_.cell_initial = stack.cell_initial;
  stack_.weights = stack.forward_weights;
  stack_.dropout = stack.forward.dropout;
}

template <class Real>
void Recomputation<Real>::compute_gates(const BackwardMemory<Real>& memory, index_t index, const Team& team,
                                        CancellationPoll& poll) const {
  const Team own{team.index, std::min(team.size, plan_.threads)};
  if (own.index >= own.size) return;
  LayerForward<Real> layer = describe_layer(plan_, stack_, scratch_, index);
  if (index > 0) layer.input.storage.data = memory.layer_input();
  for (index_t d = 0; d < plan_.problem.num_directions; ++d) {
    DirectionForward<Real>& direction = layer.directions[d];
    direction.gates_tape = memory.gate_gradients(index, d);
    direction.recorded_hidden = memory.recorded_hidden(index, d);
    direction.known_cells = memory.recorded_cells(index, d);
    if (computes_gates_in_one_go<Real>(plan_, *layer.plan)) direction.pre_activations = nullptr;
  }
  layer_forward(plan_, layer, own, place_.barriers(), poll, scratch_.of_thread(own.index));
}

template class Recomputation<float>;
template class Recomputation<double>;

}  // namespace lstm_native::driver
