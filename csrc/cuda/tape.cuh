// cuda: what a backward pass reads from the tape for all steps at once.
#pragma once

#include "cuda/copies.cuh"
#include "cuda/gates.cuh"
#include "plan/tape.hpp"

namespace lstm_native::cuda {

// The words of a plan::TapeHeader. A launch hands them over by value: a copy from the host would wait for the stream.
struct HeaderWords {
  std::uint32_t words[sizeof(plan::TapeHeader) / sizeof(std::uint32_t)];
};

// Writes the header, and zeros after it. columns: words of the tape's header elements.
inline __global__ void write_header_words(HeaderWords header, DeviceSpan<std::uint32_t> to) {
  const index_t k = column_of_thread();
  if (k >= to.size) return;
  constexpr index_t count = sizeof header.words / sizeof header.words[0];
  to.store(k, k < count ? header.words[k] : 0U);
}

// One direction's part of a tape (plan::TapeLayout).
template <class Real>
struct TapePart {
  DeviceSpan<Real> tape;
  index_t first, cells;  // elements from the tape's beginning; first: of the gates, or of the hidden states
  bool keeps_gates;
  index_t units;

  __device__ Real hidden(index_t stored, index_t unit) const {
    if (!keeps_gates) return tape.load(first + stored * units + unit);
    const index_t o = (stored * gate_count + output_gate) * units + unit;
    return hidden_of(tape.load(first + o), tape.load(cells + stored * units + unit));
  }
};

// The outputs of a layer, as the next one reads them: hidden states, dropout applied.
// columns: units; rows: stored rows.
template <class Real>
__global__ void layer_outputs(TapePart<Real> part, DeviceSpan<Real> output, index_t rows, index_t output_width,
                              index_t first_feature, DeviceSpan<std::uint64_t> call, LayerDropout dropout) {
  const index_t unit = column_of_thread();
  if (unit >= part.units) return;
  for (index_t stored = blockIdx.y; stored < rows; stored += gridDim.y) {
    const index_t at = stored * output_width + first_feature + unit;
    output.store(at, dropped(part.hidden(stored, unit), dropout, call, at));
  }
}

// The hidden state before each step, which the step multiplied by W_hh: that of the step before in the direction's
// time, or the initial one. columns: batch times units; rows: steps.
template <class Real>
__global__ void previous_hidden(TapePart<Real> part, bool reverse, DeviceSpan<Real> initial, DeviceSpan<Real> to,
                                DeviceRows rows) {
  const index_t column = column_of_thread();
  const index_t row = column / part.units;
  const index_t unit = column - row * part.units;
  for (index_t step = blockIdx.y; step < rows.steps; step += gridDim.y) {
    const index_t first = rows.offsets.load(step);
    const index_t next = rows.offsets.load(step + 1);
    if (row >= next - first) continue;
    index_t before = -1;
    if (!reverse && step > 0) before = rows.offsets.load(step - 1) + row;
    if (reverse && step + 1 < rows.steps && row < rows.offsets.load(step + 2) - next) before = next + row;
    to.store((first + row) * part.units + unit, before < 0 ? initial.load(column) : part.hidden(before, unit));
  }
}

// Makes a tape of gates from one of hidden states. The gates' place holds the pre-activations, without biases.
// columns: units; rows: stored rows.
template <class Real>
__global__ void restore_gates(TapePart<Real> part, DeviceSpan<Real> gates, DeviceSpan<Real> cells,
                              DeviceSpan<Real> bias, index_t rows) {
  const index_t unit = column_of_thread();
  if (unit >= part.units) return;
  for (index_t stored = blockIdx.y; stored < rows; stored += gridDim.y) {
    const index_t first = stored * gate_count * part.units + unit;
    UnitGates<Real> values;
    for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
      values.of[gate] = gates.load(first + gate * part.units) + bias.load(gate * part.units + unit);
    }
    values = UnitCell<Real>::activate(values);
    for (int gate = 0; gate < static_cast<int>(gate_count); ++gate) {
      gates.store(first + gate * part.units, values.of[gate]);
    }
    const index_t at = stored * part.units + unit;
    cells.store(at, part.tape.load(part.cells + at));
  }
}

}  // namespace lstm_native::cuda
