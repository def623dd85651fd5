// The step forward, with packed weights of every type and with plain ones, against plain loops in float64.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "check.hpp"

namespace lstm_native::tests {
namespace {

struct Size {
  index_t rows, units, inputs;
};

constexpr Size sizes[] = {{1, 1, 1}, {1, 37, 5}, {2, 16, 16}, {3, 7, 33}, {7, 20, 9}, {13, 33, 40}};

// What kernels that round no vectors multiply with.
struct AsTheyAre {
  template <class Real>
  static Reference vector(const Real* from, index_t size, bool) {
    return Reference(from, from + size);
  }
  static double scale(index_t) { return 1.0; }
};

// A type of stored weights: its kernels, and what its bits stand for.
template <class Real>
struct Native : AsTheyAre {
  using Element = Real;
  static constexpr const char* name = "native";
  static Values<Real> draw_weights(index_t count) { return draw<Real>(count); }
  static double value(Real element) { return static_cast<double>(element); }
};

Values<std::uint16_t> draw_bits(index_t count, unsigned smallest, unsigned largest) {
  const Values<double> uniform = draw<double>(count);
  Values<std::uint16_t> bits;
  for (const double u : uniform) {
    const double place = (u + 1.0) / 2.0 * (largest - smallest) + smallest;
    const auto magnitude = static_cast<unsigned>(place);
    bits.push_back(static_cast<std::uint16_t>(magnitude | (magnitude % 2 != 0 ? 0x8000U : 0U)));
  }
  return bits;
}

struct Float16 : AsTheyAre {
  using Element = std::uint16_t;
  static constexpr const char* name = "float16";
  // From subnormal numbers to just below 1.
  static Values<std::uint16_t> draw_weights(index_t count) { return draw_bits(count, 1, 0x3bff); }
  static double value(std::uint16_t bits) {
    const int exponent = (bits >> 10) & 0x1f;
    const int mantissa = bits & 0x3ff;
    const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 0x400, exponent - 25);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
  }
};

struct BFloat16 : AsTheyAre {
  using Element = std::uint16_t;
  static constexpr const char* name = "bfloat16";
  static Values<std::uint16_t> draw_weights(index_t count) { return draw_bits(count, 0x3000, 0x3f7f); }
  static double value(std::uint16_t bits) {
    const std::uint32_t widened = std::uint32_t{bits} << 16U;
    float result = 0.0F;
    std::memcpy(&result, &widened, sizeof(result));
    return static_cast<double>(result);
  }
};

struct RoundedBFloat16 : BFloat16 {
  static constexpr const char* name = "bfloat16_products";
  static Reference vector(const float* from, index_t size, bool) {
    Reference rounded;
    for (index_t k = 0; k < size; ++k) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, from + k, sizeof(bits));
      rounded.push_back(value(static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U)));
    }
    return rounded;
  }
};

template <int terms>
struct Int8 {
  using Element = std::int8_t;
  static constexpr const char* name = terms == 1 ? "int8_products" : "int8";
  static Values<std::int8_t> draw_weights(index_t count) {
    Values<std::int8_t> integers;
    for (const double u : draw<double>(count)) integers.push_back(static_cast<std::int8_t>(u * 127.0));
    return integers;
  }
  static double value(std::int8_t integer) { return integer; }
  // Of an integer 1 in a row of weights.
  static double scale(index_t row) { return std::ldexp(static_cast<double>(row % 3 + 1), -8); }
  static Reference vector(const float* from, index_t size, bool of_hidden) {
    const bool in_range = terms == 1 && !of_hidden;
    const float most = in_range ? 126.5F : of_hidden ? 127.0F : 127.0F * 128.0F;
    float least = 0.0F;
    float largest = 0.0F;
    for (index_t k = 0; k < size; ++k) {
      least = std::min(least, from[k]);
      largest = std::max(largest, from[k]);
    }
    const float bound = in_range ? 0.5F * largest - 0.5F * least : std::max(largest, -least);
    const float inverse = most / bound;
    Reference rounded;
    for (index_t k = 0; k < size; ++k) rounded.push_back(std::nearbyint(from[k] * inverse) * (bound / most));
    return rounded;
  }
};

template <class Real, class Weight>
const kernels::StepKernels<Real>& step_kernels(const kernels::KernelTable& table) {
  const kernels::KernelsOf<Real>& kernels = kernels_of<Real>(table);
  return *std::find_if(kernels.formats, kernels.formats + kernels.format_count,
                       [](const auto& each) { return std::string(Weight::name) == each.format.name; });
}

// (4 * units, size) to [unit block][gate pair][column group][gate of the pair][lane][column of the group], where the
// weights are integers with what stands beside them.
template <class Weight>
std::vector<std::byte> packed(const Values<typename Weight::Element>& matrix, index_t units, index_t size,
                              index_t lanes, const kernels::WeightFormat& format) {
  const index_t blocks = (units + lanes - 1) / lanes;
  const index_t together = format.columns_of_group;
  const index_t groups = (size + together - 1) / together;
  const index_t block_bytes = gate_count * lanes * (groups * together * format.bytes + format.scale_bytes);
  std::vector<std::byte> panels(at(blocks * block_bytes));
  for (index_t unit = 0; unit < units; ++unit) {
    std::byte* block = panels.data() + unit / lanes * block_bytes;
    for (index_t gate = 0; gate < gate_count; ++gate) {
      const index_t row = gate * units + unit;
      std::int32_t sum = 0;
      for (index_t k = 0; k < size; ++k) {
        const index_t group = (gate / 2 * groups + k / together) * 2 + gate % 2;
        const index_t place = (group * lanes + unit % lanes) * together + k % together;
        std::memcpy(block + place * format.bytes, &matrix[at(row * size + k)], at(format.bytes));
        sum += static_cast<std::int32_t>(Weight::value(matrix[at(row * size + k)]));
      }
      if (format.scale_bytes == 0) continue;
      const auto scale = static_cast<float>(Weight::scale(row));
      std::byte* scales = block + gate_count * lanes * groups * together * format.bytes;
      std::memcpy(scales + (gate * lanes + unit % lanes) * 4, &scale, sizeof(scale));
      std::memcpy(scales + ((gate_count + gate) * lanes + unit % lanes) * 4, &sum, sizeof(sum));
    }
  }
  return panels;
}

template <class Real>
Values<Real> packed_bias(const Values<Real>& bias, index_t units, index_t lanes) {
  Values<Real> panel(at((units + lanes - 1) / lanes * gate_count * lanes));
  for (index_t unit = 0; unit < units; ++unit) {
    for (index_t gate = 0; gate < gate_count; ++gate) {
      panel[at((unit / lanes * gate_count + gate) * lanes + unit % lanes)] = bias[at(gate * units + unit)];
    }
  }
  return panel;
}

// One step of some rows, and what it should give.
template <class Real, class Weight>
struct Trial {
  using Element = typename Weight::Element;
  const kernels::KernelTable& table;
  Size size;
  NamedCell named_cell = cells().front();
  index_t lanes = lanes_of<Real>(table);
  index_t blocks = (size.units + lanes - 1) / lanes;
  index_t row_elements = blocks * gate_count * lanes;
  Values<Element> input_weights = Weight::draw_weights(gate_count * size.units * size.inputs);
  Values<Element> hidden_weights = Weight::draw_weights(gate_count * size.units * size.units);
  Values<Real> bias = draw<Real>(gate_count * size.units);
  Values<Real> peepholes = draw<Real>(peephole_count * size.units);
  Values<Real> x = draw<Real>(size.rows * size.inputs);
  Values<Real> h = draw<Real>(size.rows * size.units);
  Values<Real> c = draw<Real>(size.rows * size.units);

  kernels::WeightFormat format = step_kernels<Real, Weight>(table).format;
  std::vector<std::byte> input_panels = packed<Weight>(input_weights, size.units, size.inputs, lanes, format);
  std::vector<std::byte> hidden_panels = packed<Weight>(hidden_weights, size.units, size.units, lanes, format);
  Values<Real> bias_panel = packed_bias(bias, size.units, lanes);
  index_t vector_stride = (1 + format.input_terms * lines(size.inputs) + format.hidden_terms * lines(size.units)) * 64;
  std::shared_ptr<void> vectors{std::aligned_alloc(64, at(size.rows* vector_stride)), std::free};
  Values<Real> pre = Values<Real>(at(size.rows * row_elements));
  Values<Real> next = Values<Real>(h.size());
  Values<Real> cell = c;
  Values<Real> gates_tape = Values<Real>(at(size.rows * gate_count * size.units));
  Values<Real> cell_tape = Values<Real>(c.size());

  // Of a rounded vector.
  index_t lines(index_t columns) const { return (columns * format.vector_bytes + 63) / 64; }

  std::vector<kernels::StepRow<Real>> rows() {
    std::vector<kernels::StepRow<Real>> all;
    for (index_t r = 0; r < size.rows; ++r) {
      kernels::StepRow<Real> row;
      row.input = &x[at(r * size.inputs)];
      row.pre_activations = &pre[at(r * row_elements)];
      row.hidden = &h[at(r * size.units)];
      row.next_hidden = &next[at(r * size.units)];
      row.cell = &cell[at(r * size.units)];
      row.gates_tape = &gates_tape[at(r * gate_count * size.units)];
      row.cell_tape = &cell_tape[at(r * size.units)];
      all.push_back(row);
    }
    return all;
  }

  kernels::StepForward<Real> step(const std::vector<kernels::StepRow<Real>>& rows) const {
    kernels::StepForward<Real> described;
    described.rows = rows.data();
    described.row_count = size.rows;
    described.units = size.units;
    described.end_block = blocks;
    described.input_size = size.inputs;
    described.hidden_size = size.units;
    described.cell = named_cell.spec;
    if (described.cell.peepholes) described.peepholes = peepholes.data();
    described.input_weights = input_panels.data();
    described.hidden_weights = hidden_panels.data();
    described.bias = bias_panel.data();
    described.pre_block_stride = gate_count * lanes;
    described.pre_gate_stride = lanes;
    described.vectors = vectors.get();
    described.vector_stride = vector_stride;
    return described;
  }

  void compare(Checks& checks, const std::string& way) const {
    Reference hidden, states, kept;
    const CellSpec& of = named_cell.spec;
    for (index_t r = 0; r < size.rows; ++r) {
      Reference sums(at(gate_count * size.units));
      const Reference input = Weight::vector(&x[at(r * size.inputs)], size.inputs, false);
      const Reference state = Weight::vector(&h[at(r * size.units)], size.units, true);
      for (index_t row = 0; row < gate_count * size.units; ++row) {
        double& sum = sums[at(row)];
        sum = static_cast<double>(bias[at(row)]);
        for (index_t k = 0; k < size.inputs; ++k) {
          sum += Weight::scale(row) * Weight::value(input_weights[at(row * size.inputs + k)]) * input[at(k)];
        }
        for (index_t k = 0; k < size.units; ++k) {
          sum += Weight::scale(row) * Weight::value(hidden_weights[at(row * size.units + k)]) * state[at(k)];
        }
      }
      Reference on_tape = sums;
      for (index_t unit = 0; unit < size.units; ++unit) {
        const auto place = [&](index_t gate) { return at(gate * size.units + unit); };
        const auto add_peephole = [&](Gate gate, Peephole peephole, double seen) {
          if (of.peepholes) sums[place(gate)] += static_cast<double>(peepholes[place(peephole)]) * seen;
        };
        const auto gate = [&](Gate which, const ActivationSpec& activation) {
          return activated(activation, bounded(of, sums[place(which)]));
        };
        const double before = static_cast<double>(c[at(r * size.units + unit)]);
        add_peephole(input_gate, input_peephole, before);
        add_peephole(forget_gate, forget_peephole, before);
        const double i = gate(input_gate, of.gates);
        const bool coupled = of.input_forget || of.kind == CellKind::coupled;
        const double f = coupled ? 1.0 - i : gate(forget_gate, of.gates);
        const double g = gate(cell_candidate, of.candidate);
        states.push_back(f * before + i * g);
        add_peephole(output_gate, output_peephole, states.back());
        const double o = gate(output_gate, of.gates);
        hidden.push_back(o * activated(of.output, states.back()));
        const bool keeps_sums = of.kind == CellKind::general;
        const double gates[] = {i, f, g, o};
        for (index_t k = 0; k < gate_count; ++k) on_tape[place(k)] = keeps_sums ? sums[place(k)] : gates[k];
      }
      kept.insert(kept.end(), on_tape.begin(), on_tape.end());
    }
    const std::string label = std::string(named_cell.name) + ", " + Weight::name + ", " + way + ", " +
                              std::to_string(size.rows) + " rows, " + std::to_string(size.units) + " units";
    checks.close(next, hidden, "h, " + label);
    checks.close(cell, states, "c, " + label);
    checks.close(cell_tape, states, "c on the tape, " + label);
    checks.close(gates_tape, kept, "gates, " + label);
  }
};

template <class Real, class Weight>
void check_weight(const kernels::KernelTable& table, const NamedCell& cell, Checks& checks) {
  const auto& kernels = step_kernels<Real, Weight>(table);
  for (const Size& size : sizes) {
    for (const bool blocks_descending : {false, true}) {
      Trial<Real, Weight> whole{table, size, cell};
      const auto rows = whole.rows();
      auto step = whole.step(rows);
      step.blocks_descending = blocks_descending;
      kernels.step(step);
      whole.compare(checks, blocks_descending ? "whole, from the last block" : "whole");
    }
    Trial<Real, Weight> in_two{table, size, cell};
    const auto rows = in_two.rows();
    auto step = in_two.step(rows);
    kernels.project(step);
    step.input_weights = nullptr;
    step.bias = nullptr;
    // Two calls that share the blocks, as two threads would.
    step.end_block = in_two.blocks / 2;
    kernels.step(step);
    step.first_block = step.end_block;
    step.end_block = in_two.blocks;
    kernels.step(step);
    in_two.compare(checks, "projected before");
  }
}

// What pack() and unpack() make of a block of weights that are stored one by one, and of a row.
template <class Real, class Weight>
void check_packing(const kernels::KernelTable& table, Checks& checks) {
  const auto& kernels = step_kernels<Real, Weight>(table);
  const index_t lanes = lanes_of<Real>(table);
  for (const index_t units : {index_t{1}, lanes - 1, lanes}) {
    const index_t columns = 67;
    const auto matrix = Weight::draw_weights(gate_count * units * columns);
    Values<Real> values;
    for (const auto element : matrix) values.push_back(static_cast<Real>(Weight::value(element)));
    const std::vector<std::byte> expected = packed<Weight>(matrix, units, columns, lanes, kernels.format);
    for (const bool transposed : {false, true}) {
      Values<Real> given = values;
      for (index_t k = 0; k < gate_count * units * columns && transposed; ++k) {
        given[at(k % columns * gate_count * units + k / columns)] = values[at(k)];
      }
      std::vector<std::byte> block(expected.size(), std::byte{1});
      kernels::PackBlock<Real> pack;
      pack.from = given.data();
      pack.row_stride = transposed ? 1 : columns;
      pack.column_stride = transposed ? gate_count * units : 1;
      pack.columns = columns;
      for (index_t gate = 0; gate < gate_count; ++gate) {
        pack.first_row[gate] = gate * units;
        pack.row_count[gate] = units;
      }
      pack.to = block.data();
      kernels.pack(pack);
      checks.that(block == expected, std::string("a packed block, ") + Weight::name);
      Values<Real> row(at(columns));
      kernels.unpack({block.data(), output_gate, units - 1, columns, row.data()});
      const bool same = std::equal(row.begin(), row.end(), values.end() - columns);
      checks.that(same, std::string("an unpacked row, ") + Weight::name);
    }
  }
}

// Only the gates, as where all states are known.
template <class Real>
void check_gates_only(const kernels::KernelTable& table, const NamedCell& cell, Checks& checks) {
  for (const Size& size : sizes) {
    Trial<Real, Native<Real>> states{table, size, cell};
    const auto rows = states.rows();
    kernels_of<Real>(table).formats[0].step(states.step(rows));
    Trial<Real, Native<Real>> gates = states;
    std::fill(gates.gates_tape.begin(), gates.gates_tape.end(), Real{});
    auto gate_rows = gates.rows();
    // What is read of both states, by some cells: c_(t-1) and c_t.
    Values<Real> before = gates.c;
    for (std::size_t r = 0; r < gate_rows.size(); ++r) {
      gate_rows[r].next_hidden = nullptr;
      gate_rows[r].cell = &before[r * at(size.units)];
    }
    kernels_of<Real>(table).formats[0].step(gates.step(gate_rows));
    gates.compare(checks, "gates only");
  }
}

// Both products by product_in_place(), the gates by step().
template <class Real>
void check_in_place(const kernels::KernelTable& table, const NamedCell& cell, Checks& checks) {
  const auto& kernels = kernels_of<Real>(table);
  for (const Size& size : sizes) {
    Trial<Real, Native<Real>> trial{table, size, cell};
    const auto rows = trial.rows();
    auto step = trial.step(rows);
    kernels::ProductInPlace<Real> product;
    product.rows = rows.data();
    product.row_count = size.rows;
    product.units = size.units;
    product.end_block = trial.blocks;
    product.weights = trial.input_weights.data();
    product.row_stride = product.size = size.inputs;
    product.bias = trial.bias_panel.data();
    product.pre_block_stride = step.pre_block_stride;
    product.pre_gate_stride = step.pre_gate_stride;
    kernels.product_in_place(product);
    product.of_hidden = true;
    product.weights = trial.hidden_weights.data();
    product.row_stride = product.size = size.units;
    product.bias = nullptr;
    product.blocks_descending = true;
    kernels.product_in_place(product);
    step.input_weights = step.hidden_weights = nullptr;
    step.bias = nullptr;
    kernels.formats[0].step(step);
    trial.compare(checks, "in place");
  }
}

}  // namespace

template <class Real>
void check_forward(const kernels::KernelTable& table, Checks& checks) {
  check_packing<Real, Native<Real>>(table, checks);
  if constexpr (sizeof(Real) == sizeof(float)) {
    check_packing<float, Float16>(table, checks);
    check_packing<float, BFloat16>(table, checks);
    check_packing<float, RoundedBFloat16>(table, checks);
  }
  for (const NamedCell& cell : cells()) {
    check_weight<Real, Native<Real>>(table, cell, checks);
    check_in_place<Real>(table, cell, checks);
    check_gates_only<Real>(table, cell, checks);
    if constexpr (sizeof(Real) == sizeof(float)) {
      check_weight<Real, Float16>(table, cell, checks);
      check_weight<Real, BFloat16>(table, cell, checks);
      check_weight<Real, RoundedBFloat16>(table, cell, checks);
      check_weight<Real, Int8<1>>(table, cell, checks);
      check_weight<Real, Int8<2>>(table, cell, checks);
    }
  }
}

template void check_forward<float>(const kernels::KernelTable&, Checks&);
template void check_forward<double>(const kernels::KernelTable&, Checks&);

}  // namespace lstm_native::tests
