// kernels/generic/cells: the standard LSTM cell.
//   i, f, o = sigmoid, g = tanh of the pre-activations; c_t = f c_(t-1) + i g; h_t = o tanh(c_t)

template <class Arithmetic>
struct StandardCell {
  using Value = typename Arithmetic::Value;
  using Gates = typename Arithmetic::template Values<gate_count>;
  using Peepholes = typename Arithmetic::template Values<peephole_count>;
  static constexpr bool reads_peepholes = false;

  // The gates, from their pre-activations.
  LSTM_NATIVE_CELL_CODE static Gates activate(const Gates& pre_activations) {
    return side_by_side<Activation::sigmoid, Activation::sigmoid, Activation::tanh, Activation::sigmoid>(
        pre_activations);
  }

  // c_t.
  LSTM_NATIVE_CELL_CODE static Value next_cell(const Gates& gates, Value previous_cell) {
    return multiply_add(gates.of[forget_gate], previous_cell, gates.of[input_gate] * gates.of[cell_candidate]);
  }

  // tanh(c_t), of several units side by side.
  template <class Values>
  LSTM_NATIVE_CELL_CODE static Values activate_cell(const Values& cell) {
    return tanh(cell);
  }

  // h_t. activated: the result of activate_cell().
  LSTM_NATIVE_CELL_CODE static Value hidden(Value output, Value activated) { return output * activated; }

  // The results of a step of one unit: the gates as the tape keeps them, c_t and h_t.
  struct Unit {
    Gates kept;
    Value cell, hidden;
  };

  LSTM_NATIVE_CELL_CODE static Unit advance_by(const Gates& gates, Value previous_cell) {
    const Value cell = next_cell(gates, previous_cell);
    const auto activated = activate_cell(typename Arithmetic::template Values<1>{{cell}});
    return {gates, cell, hidden(gates.of[output_gate], activated.of[0])};
  }

  LSTM_NATIVE_CELL_CODE static Unit advance(const Gates& pre_activations, Value previous_cell, const Peepholes&) {
    return advance_by(activate(pre_activations), previous_cell);
  }

  // A step's gates as the tape keeps them, from both cell states.
  LSTM_NATIVE_CELL_CODE static Gates kept(const Gates& pre_activations, Value, Value, const Peepholes&) {
    return activate(pre_activations);
  }

  // h_t from the tape. kept_output: the output gate as the tape keeps it.
  LSTM_NATIVE_CELL_CODE static Value recorded_hidden(Value kept_output, Value activated) {
    return hidden(kept_output, activated);
  }

  struct Gradients {
    Gates pre_activations;
    Value previous_cell;
  };

  // What a step backward reads. hidden and cell are the gradients of h_t and of c_t, the latter without h_t's share.
  struct Step {
    Gates gates;  // as the tape keeps them
    Value activated, previous_cell;
    Value cell{};
    Peepholes peepholes{};
  };

  // The gradient of c_t, with h_t's share.
  LSTM_NATIVE_CELL_CODE static Value cell_gradient(const Step& step, Value hidden, Value cell) {
    return multiply_add(hidden * step.gates.of[output_gate], 1 - step.activated * step.activated, cell);
  }

  LSTM_NATIVE_CELL_CODE static Gradients differentiate(const Step& step, Value hidden, Value cell) {
    const Value i = step.gates.of[input_gate];
    const Value f = step.gates.of[forget_gate];
    const Value g = step.gates.of[cell_candidate];
    const Value o = step.gates.of[output_gate];
    const Value dc = cell_gradient(step, hidden, cell);
    Gradients gradients;
    gradients.pre_activations.of[input_gate] = dc * g * (i * (1 - i));
    gradients.pre_activations.of[forget_gate] = dc * step.previous_cell * (f * (1 - f));
    gradients.pre_activations.of[cell_candidate] = dc * i * (1 - g * g);
    gradients.pre_activations.of[output_gate] = hidden * step.activated * (o * (1 - o));
    gradients.previous_cell = dc * f;
    return gradients;
  }
};
