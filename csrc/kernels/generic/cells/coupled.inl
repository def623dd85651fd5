// kernels/generic/cells: coupled input and forget gate, f = 1 - i. The rest is as in the standard cell. The forget
// gate's pre-activation has no effect, and its gradient is zero.

template <class Arithmetic>
struct CoupledCell : StandardCell<Arithmetic> {
  using Standard = StandardCell<Arithmetic>;
  using typename Standard::Gates;
  using typename Standard::Gradients;
  using typename Standard::Peepholes;
  using typename Standard::Step;
  using typename Standard::Unit;
  using typename Standard::Value;

  LSTM_NATIVE_CELL_CODE static Gates activate(const Gates& pre_activations) {
    Gates gates = Standard::activate(pre_activations);
    gates.of[forget_gate] = 1 - gates.of[input_gate];
    return gates;
  }

  LSTM_NATIVE_CELL_CODE static Unit advance(const Gates& pre_activations, Value previous_cell, const Peepholes&) {
    return Standard::advance_by(activate(pre_activations), previous_cell);
  }

  LSTM_NATIVE_CELL_CODE static Gates kept(const Gates& pre_activations, Value, Value, const Peepholes&) {
    return activate(pre_activations);
  }

  LSTM_NATIVE_CELL_CODE static Gradients differentiate(const Step& step, Value hidden, Value cell) {
    const Value i = step.gates.of[input_gate];
    const Value g = step.gates.of[cell_candidate];
    Gradients gradients = Standard::differentiate(step, hidden, cell);
    const Value dc = Standard::cell_gradient(step, hidden, cell);
    gradients.pre_activations.of[input_gate] = dc * (g - step.previous_cell) * (i * (1 - i));
    gradients.pre_activations.of[forget_gate] = Value{};
    return gradients;
  }
};
