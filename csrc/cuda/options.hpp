// cuda: what a plan is made for. Calls with equal options share one, one after the other.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "plan/problem.hpp"
#include "plan/tape.hpp"

namespace lstm_native::cuda {

enum class Pass : std::int64_t { forward, backward };

// How a layer's steps run: each as a product and a launch, or all in one launch where the device has room for that.
enum class StepLoop : std::int64_t { automatic, launches, persistent };

struct Options {
  Pass pass = Pass::forward;
  plan::Problem problem;
  Dtype dtype = Dtype::float32;
  int device = 0;
  bool tf32 = false;
  bool has_tape = false;
  plan::TapeForm tape_form = plan::TapeForm::gates;
  StepLoop step_loop = StepLoop::automatic;
  // Of a backward pass.
  bool runs_steps = false;  // else only the weights' gradients are left to do
  bool has_output_gradient = false;
  bool wants_input = false;
  bool wants_states = false;
  bool wants_weights = false;
  bool keeps_workspace = false;

  std::vector<std::int64_t> key() const {
    std::int64_t rate = 0;
    static_assert(sizeof rate == sizeof problem.dropout);
    std::memcpy(&rate, &problem.dropout, sizeof rate);
    std::vector<std::int64_t> key{static_cast<std::int64_t>(pass),
                                  problem.seq_len,
                                  problem.batch,
                                  problem.input_size,
                                  problem.cell_size,
                                  problem.num_layers,
                                  problem.num_directions,
                                  rate,
                                  static_cast<std::int64_t>(dtype),
                                  device,
                                  tf32,
                                  has_tape,
                                  static_cast<std::int64_t>(tape_form),
                                  static_cast<std::int64_t>(step_loop),
                                  runs_steps,
                                  has_output_gradient,
                                  wants_input,
                                  wants_states,
                                  wants_weights,
                                  keeps_workspace,
                                  static_cast<std::int64_t>(problem.batch_sizes.size())};
    key.insert(key.end(), problem.batch_sizes.begin(), problem.batch_sizes.end());
    key.insert(key.end(), problem.lengths.begin(), problem.lengths.end());
    return key;
  }
};

}  // namespace lstm_native::cuda
