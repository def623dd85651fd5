// kernels/generic/cells: a cell with activations by name, bounded pre-activations, coupled gates and peepholes.
//   i, f = gates(W x + U h + b + p c_(t-1)), g = candidate(W x + U h + b), c_t = f c_(t-1) + i g
//   o = gates(W x + U h + b + p c_t), h_t = o output(c_t)
// The tape keeps the pre-activations with their peepholes' terms, before they are bounded: an activation does not tell
// whether its argument was bounded.

// `usual_activations`: those of the standard cell, known when compiling, so that they are computed side by side.
template <class Arithmetic, bool usual_activations>
struct GeneralCell {
  using Standard = StandardCell<Arithmetic>;
  using Value = typename Standard::Value;
  using Gates = typename Standard::Gates;
  using Peepholes = typename Standard::Peepholes;
  using Gradients = typename Standard::Gradients;
  using Step = typename Standard::Step;
  using Unit = typename Standard::Unit;
  template <int count>
  using Values = typename Arithmetic::template Values<count>;
  static constexpr bool reads_peepholes = true;

  const CellSpec& spec;

  // NaN stays.
  LSTM_NATIVE_CELL_CODE Value bounded(Value x) const {
    if (spec.clip == 0.0) return x;
    const Value bound = Arithmetic::of(spec.clip);
    return x > bound ? bound : (x < -bound ? -bound : x);
  }

  // The gradient if the pre-activation was not bounded, else zero. A pre-activation equal to the bound was not.
  LSTM_NATIVE_CELL_CODE Value through_bound(Value x, Value gradient) const {
    if (spec.clip == 0.0) return gradient;
    const Value bound = Arithmetic::of(spec.clip);
    const Value zero = Arithmetic::of(0.0);
    return x > bound ? zero : (x < -bound ? zero : gradient);
  }

  LSTM_NATIVE_CELL_CODE Gates with_previous_cell(const Gates& pre_activations, Value previous_cell,
                                                 const Peepholes& peepholes) const {
    Gates sums = pre_activations;
    if (!spec.peepholes) return sums;
    sums.of[input_gate] = multiply_add(peepholes.of[input_peephole], previous_cell, sums.of[input_gate]);
    sums.of[forget_gate] = multiply_add(peepholes.of[forget_peephole], previous_cell, sums.of[forget_gate]);
    return sums;
  }

  LSTM_NATIVE_CELL_CODE Value with_cell_state(Value output, Value cell, const Peepholes& peepholes) const {
    return spec.peepholes ? multiply_add(peepholes.of[output_peephole], cell, output) : output;
  }

  // Activations side by side where they need nothing of each other, as o needs c_t where it has a peephole.
  LSTM_NATIVE_CELL_CODE Unit advance(const Gates& pre_activations, Value previous_cell,
                                     const Peepholes& peepholes) const {
    Unit unit;
    unit.kept = with_previous_cell(pre_activations, previous_cell, peepholes);
    Gates gates = spec.peepholes ? gates_without_output(unit.kept) : all_gates(unit.kept);
    if (spec.input_forget) gates.of[forget_gate] = 1 - gates.of[input_gate];
    unit.cell = Standard::next_cell(gates, previous_cell);
    if (!spec.peepholes) {
      unit.hidden = gates.of[output_gate] * activate_cell(Values<1>{{unit.cell}}).of[0];
      return unit;
    }
    unit.kept.of[output_gate] = with_cell_state(unit.kept.of[output_gate], unit.cell, peepholes);
    if constexpr (usual_activations) {
      const auto both = side_by_side<Activation::sigmoid, Activation::tanh>(
          Values<2>{{bounded(unit.kept.of[output_gate]), unit.cell}});
      unit.hidden = both.of[0] * both.of[1];
    } else {
      unit.hidden = recorded_hidden(unit.kept.of[output_gate], activate_cell(Values<1>{{unit.cell}}).of[0]);
    }
    return unit;
  }

  LSTM_NATIVE_CELL_CODE Gates kept(const Gates& pre_activations, Value previous_cell, Value cell,
                                   const Peepholes& peepholes) const {
    Gates sums = with_previous_cell(pre_activations, previous_cell, peepholes);
    sums.of[output_gate] = with_cell_state(sums.of[output_gate], cell, peepholes);
    return sums;
  }

  template <class AnyValues>
  LSTM_NATIVE_CELL_CODE AnyValues activate_cell(const AnyValues& cell) const {
    if constexpr (usual_activations) {
      return tanh(cell);
    } else {
      return activate_as<Arithmetic>(spec.output, cell);
    }
  }

  LSTM_NATIVE_CELL_CODE Value recorded_hidden(Value kept_output, Value activated_cell) const {
    const Values<1> output{{bounded(kept_output)}};
    if constexpr (usual_activations) {
      return sigmoid(output).of[0] * activated_cell;
    } else {
      return activate_as<Arithmetic>(spec.gates, output).of[0] * activated_cell;
    }
  }

  LSTM_NATIVE_CELL_CODE Gradients differentiate(const Step& step, Value hidden, Value cell) const {
    const Gates& sums = step.gates;
    const Gates gates = all_gates(sums);
    const Value i = gates.of[input_gate];
    const Value f = spec.input_forget ? 1 - i : gates.of[forget_gate];
    const Value g = gates.of[cell_candidate];
    const Value o = gates.of[output_gate];
    const auto through = [&](Gate gate, const ActivationSpec& activation, Value gradient) {
      const Value x = sums.of[gate];
      return through_bound(x, gradient * slope(activation, bounded(x), gates.of[gate]));
    };
    Gradients gradients;
    Gates& of = gradients.pre_activations;
    of.of[output_gate] = through(output_gate, spec.gates, hidden * step.activated);
    Value dc = multiply_add(hidden * o, slope(spec.output, step.cell, step.activated), cell);
    if (spec.peepholes) dc = multiply_add(step.peepholes.of[output_peephole], of.of[output_gate], dc);
    const Value di = dc * (spec.input_forget ? g - step.previous_cell : g);
    of.of[input_gate] = through(input_gate, spec.gates, di);
    of.of[forget_gate] =
        spec.input_forget ? Arithmetic::of(0.0) : through(forget_gate, spec.gates, dc * step.previous_cell);
    of.of[cell_candidate] = through(cell_candidate, spec.candidate, dc * i);
    gradients.previous_cell = dc * f;
    if (spec.peepholes) {
      gradients.previous_cell =
          multiply_add(step.peepholes.of[input_peephole], of.of[input_gate], gradients.previous_cell);
      gradients.previous_cell =
          multiply_add(step.peepholes.of[forget_peephole], of.of[forget_gate], gradients.previous_cell);
    }
    return gradients;
  }

 private:
  // From their pre-activations with all peepholes.
  LSTM_NATIVE_CELL_CODE Gates all_gates(const Gates& sums) const {
    const Gates x{{bounded(sums.of[input_gate]), bounded(sums.of[forget_gate]), bounded(sums.of[cell_candidate]),
                   bounded(sums.of[output_gate])}};
    if constexpr (usual_activations) {
      return Standard::activate(x);
    } else {
      const auto three =
          activate_as<Arithmetic>(spec.gates, Values<3>{{x.of[input_gate], x.of[forget_gate], x.of[output_gate]}});
      const auto candidate = activate_as<Arithmetic>(spec.candidate, Values<1>{{x.of[cell_candidate]}});
      return {{three.of[0], three.of[1], candidate.of[0], three.of[2]}};
    }
  }

  // The same but o, which is zero.
  LSTM_NATIVE_CELL_CODE Gates gates_without_output(const Gates& sums) const {
    const Value i = bounded(sums.of[input_gate]);
    const Value f = bounded(sums.of[forget_gate]);
    const Value g = bounded(sums.of[cell_candidate]);
    if constexpr (usual_activations) {
      const auto three = side_by_side<Activation::sigmoid, Activation::sigmoid, Activation::tanh>(Values<3>{{i, f, g}});
      return {{three.of[0], three.of[1], three.of[2], Value{}}};
    } else {
      const auto two = activate_as<Arithmetic>(spec.gates, Values<2>{{i, f}});
      const auto candidate = activate_as<Arithmetic>(spec.candidate, Values<1>{{g}});
      return {{two.of[0], two.of[1], candidate.of[0], Value{}}};
    }
  }

  // The derivative at x, where the activation is y.
  LSTM_NATIVE_CELL_CODE static Value slope(const ActivationSpec& activation, Value x, Value y) {
    if constexpr (usual_activations) {
      return activation.kind == Activation::sigmoid ? y * (1 - y) : 1 - y * y;
    } else {
      return derivative<Arithmetic>(activation, x, y);
    }
  }
};
