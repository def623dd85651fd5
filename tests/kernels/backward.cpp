// The step backward, with weights packed and in place, against plain loops in float64.
#include "check.hpp"

namespace lstm_native::tests {
namespace {

enum class Weights { none, in_place, packed };

constexpr const char* name_of(Weights weights) {
  return weights == Weights::none ? "no following step" : weights == Weights::in_place ? "in place" : "packed";
}

template <class Real>
struct Trial {
  const kernels::KernelTable& table;
  index_t rows, units;
  Weights way;
  NamedCell named_cell = cells().front();
  index_t group_units = kernels::backward_group_vectors * lanes_of<Real>(table);
  index_t groups = (units + group_units - 1) / group_units;
  index_t gate_rows = gate_count * units;
  Values<Real> weights = draw<Real>(gate_rows * units);
  Values<Real> following = draw<Real>(rows * gate_rows);
  Values<Real> dy = draw<Real>(rows * units);
  Values<Real> dh_final = draw<Real>(rows * units);
  Values<Real> gates = draw<Real>(rows * gate_rows);
  Values<Real> cell = draw<Real>(rows * units);
  Values<Real> before = draw<Real>(rows * units);
  Values<Real> dc = draw<Real>(rows * units);
  Values<Real> dc_before = dc;
  Values<Real> peepholes = draw<Real>(peephole_count * units);
  Values<Real> gate_gradients = Values<Real>(gates.size());
  Values<Real> hidden = Values<Real>(cell.size());
  Values<Real> sums = Values<Real>(at(rows * groups * group_units));

  // [group][k][unit of the group]
  Values<Real> packed() const {
    Values<Real> panels(at(groups * gate_rows * group_units), Real{});
    for (index_t k = 0; k < gate_rows; ++k) {
      for (index_t unit = 0; unit < units; ++unit) {
        panels[at((unit / group_units * gate_rows + k) * group_units + unit % group_units)] =
            weights[at(k * units + unit)];
      }
    }
    return panels;
  }

  template <class Kernel>
  void run(Kernel kernel) {
    std::vector<kernels::BackwardRow<Real>> described;
    for (index_t r = 0; r < rows; ++r) {
      kernels::BackwardRow<Real> row;
      row.next_gate_gradients = &following[at(r * gate_rows)];
      row.output_gradient = r % 3 == 2 ? nullptr : &dy[at(r * units)];
      row.final_gradient = r % 2 == 1 ? nullptr : &dh_final[at(r * units)];
      row.gates = &gates[at(r * gate_rows)];
      row.cell = &cell[at(r * units)];
      row.previous_cell = &before[at(r * units)];
      row.cell_gradient = &dc_before[at(r * units)];
      row.gate_gradients = &gate_gradients[at(r * gate_rows)];
      row.hidden = &hidden[at(r * units)];
      row.sums = &sums[at(r * groups * group_units)];
      described.push_back(row);
    }
    const Values<Real> panels = packed();
    kernels::StepBackward<Real> step;
    step.rows = described.data();
    step.row_count = rows;
    step.units = units;
    step.size = gate_rows;
    step.cell = named_cell.spec;
    if (step.cell.peepholes) step.peepholes = peepholes.data();
    if (way == Weights::packed) {
      step.weights = panels.data();
      step.weight_stride = group_units;
      step.group_stride = gate_rows * group_units;
    } else if (way == Weights::in_place) {
      step.weights = weights.data();
      step.weight_stride = units;
      step.group_stride = group_units;
    }
    step.end_group = groups / 2;  // two calls that share the groups, as two threads would
    kernel(step);
    step.first_group = step.end_group;
    step.end_group = groups;
    kernel(step);
  }

  double state_gradient(index_t r, index_t unit) const {
    double sum = r % 3 == 2 ? 0.0 : static_cast<double>(dy[at(r * units + unit)]);
    if (r % 2 == 0) sum += static_cast<double>(dh_final[at(r * units + unit)]);
    for (index_t k = 0; way != Weights::none && k < gate_rows; ++k) {
      sum += static_cast<double>(weights[at(k * units + unit)]) * static_cast<double>(following[at(r * gate_rows + k)]);
    }
    return sum;
  }

  void compare_gates(Checks& checks) const {
    Reference expected(gates.size()), expected_dc, expected_hidden;
    const CellSpec& of = named_cell.spec;
    for (index_t r = 0; r < rows; ++r) {
      for (index_t unit = 0; unit < units; ++unit) {
        const auto place = [&](index_t which) { return at(r * gate_rows + which * units + unit); };
        const auto peephole = [&](Peephole which) {
          return of.peepholes ? static_cast<double>(peepholes[at(which * units + unit)]) : 0.0;
        };
        // Of a general cell the tape holds what the activations get.
        const bool general = of.kind == CellKind::general;
        const auto gate = [&](Gate which, const ActivationSpec& activation) {
          const double kept = static_cast<double>(gates[place(which)]);
          return general ? activated(activation, bounded(of, kept)) : kept;
        };
        const auto through = [&](Gate which, const ActivationSpec& activation, double gradient) {
          const double kept = static_cast<double>(gates[place(which)]);
          if (general) {
            return std::abs(kept) > of.clip && of.clip > 0.0 ? 0.0 : gradient * derivative(activation, kept);
          }
          return gradient * (which == cell_candidate ? 1.0 - kept * kept : kept * (1.0 - kept));
        };
        const bool coupled = of.input_forget || of.kind == CellKind::coupled;
        const double i = gate(input_gate, of.gates), g = gate(cell_candidate, of.candidate),
                     o = gate(output_gate, of.gates);
        const double f = general && coupled ? 1.0 - i : gate(forget_gate, of.gates);
        const double state = static_cast<double>(cell[at(r * units + unit)]);
        const double previous = static_cast<double>(before[at(r * units + unit)]);
        const double dh = state_gradient(r, unit);
        const double d_output = through(output_gate, of.gates, dh * activated(of.output, state));
        const double total = static_cast<double>(dc[at(r * units + unit)]) + dh * o * derivative(of.output, state) +
                             peephole(output_peephole) * d_output;
        const double d_input = through(input_gate, of.gates, total * (coupled ? g - previous : g));
        const double d_forget = coupled ? 0.0 : through(forget_gate, of.gates, total * previous);
        expected[place(input_gate)] = d_input;
        expected[place(forget_gate)] = d_forget;
        expected[place(cell_candidate)] = through(cell_candidate, of.candidate, total * i);
        expected[place(output_gate)] = d_output;
        expected_dc.push_back(total * f + peephole(input_peephole) * d_input + peephole(forget_peephole) * d_forget);
        expected_hidden.push_back(o * activated(of.output, state));
      }
    }
    checks.close(gate_gradients, expected, label("gradients of the gates"));
    checks.close(dc_before, expected_dc, label("gradient of c"));
    checks.close(hidden, expected_hidden, label("h again"));
  }

  void compare_state(Checks& checks) const {
    Reference expected;
    for (index_t r = 0; r < rows; ++r) {
      for (index_t unit = 0; unit < units; ++unit) expected.push_back(state_gradient(r, unit));
    }
    checks.close(hidden, expected, label("gradient of h"));
  }

  std::string label(const char* what) const {
    return std::string(what) + ", " + named_cell.name + ", " + name_of(way) + ", " + std::to_string(rows) + " rows, " +
           std::to_string(units) + " units";
  }
};

}  // namespace

template <class Real>
void check_backward(const kernels::KernelTable& table, Checks& checks) {
  const auto& kernels = kernels_of<Real>(table).backward;
  const index_t group_units = kernels::backward_group_vectors * lanes_of<Real>(table);
  for (const Weights way : {Weights::none, Weights::in_place, Weights::packed}) {
    for (const index_t rows : {1, 2, 5, 14}) {
      // Weights in place must fill their groups.
      for (const index_t units : {index_t{1}, index_t{37}, 2 * group_units, 5 * group_units}) {
        if (way == Weights::in_place && units % group_units != 0) continue;
        for (const NamedCell& cell : cells()) {
          Trial<Real> gates{table, rows, units, way, cell};
          gates.run(kernels.step);
          gates.compare_gates(checks);
        }
        Trial<Real> state{table, rows, units, way};
        state.run(kernels.state);
        state.compare_state(checks);
      }
    }
  }
}

template void check_backward<float>(const kernels::KernelTable&, Checks&);
template void check_backward<double>(const kernels::KernelTable&, Checks&);

}  // namespace lstm_native::tests
