// cuda: the options that a plan is made for. Calls with equal options share a plan, one after the other.
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

  // Names every field of both structs: after a field is added, this does not compile until it is here, too.
  std::vector<std::int64_t> key() const {
    const auto& [of_pass, of_problem, of_dtype, of_device, of_tf32, of_tape, of_tape_form, of_step_loop, of_steps,
                 of_output_gradient, of_input, of_states, of_weights, of_workspace] = *this;
    const auto& [seq_len, batch, input_size, cell_size, output_size, num_layers, num_directions, reverse, batch_sizes,
                 lengths, cells, dropout, recurrent_dropout, threads, split] = of_problem;
    std::int64_t rate = 0;
    std::int64_t recurrent_rate = 0;
    static_assert(sizeof rate == sizeof dropout);
    std::memcpy(&rate, &dropout, sizeof rate);
    std::memcpy(&recurrent_rate, &recurrent_dropout, sizeof recurrent_rate);
    std::vector<std::int64_t> key{
        static_cast<std::int64_t>(of_pass),
        static_cast<std::int64_t>(of_dtype),
        of_device,
        of_tf32,
        of_tape,
        static_cast<std::int64_t>(of_tape_form),
        static_cast<std::int64_t>(of_step_loop),
        of_steps,
        of_output_gradient,
        of_input,
        of_states,
        of_weights,
        of_workspace,
        seq_len,
        batch,
        input_size,
        cell_size,
        output_size,
        num_layers,
        num_directions,
        reverse,
        static_cast<std::int64_t>(cells[0].kind),  // the host refuses all but the standard one
        static_cast<std::int64_t>(cells[1].kind),
        rate,
        recurrent_rate,
        threads,
        split.directions,
        split.rows,
        split.units,
        static_cast<std::int64_t>(batch_sizes.size())};
    key.insert(key.end(), batch_sizes.begin(), batch_sizes.end());
    key.insert(key.end(), lengths.begin(), lengths.end());
    return key;
  }
};

}  // namespace lstm_native::cuda
