// kernels: what a driver sees of them: argument structs with their contracts, and one table of function pointers per
// ISA. Per-ISA units include this file, so it holds plain data only: no inline function that a linker could keep in an
// AVX-512 copy for an older CPU.
#pragma once

#include "common/types.hpp"

namespace lstm_native::kernels {

// One step's gates for `rows` batch rows of `units` units:
//   i, f, o = sigmoid(pre-activation + bias), g = tanh(pre-activation + bias)
//   cell = f * cell + i * g, hidden = o * tanh(cell)
// No two pointers may overlap. All rows are contiguous in their units.
template <class Real>
struct GatesForward {
  index_t rows = 0;
  index_t units = 0;
  Real* gates = nullptr;  // (rows, 4, units) in the order i, f, g, o: pre-activations in; activations out if keep_gates
  const Real* bias = nullptr;  // (4, units), read
  Real* cell = nullptr;        // (rows, units): the cell state, read, overwritten
  Real* hidden = nullptr;      // (rows, units): overwritten with the hidden state
  Real* output = nullptr;      // (rows, units), rows output_stride apart: overwritten with the hidden state
  index_t output_stride = 0;
  Real* cell_tape = nullptr;  // (rows, units): overwritten with the cell state; null: not kept
  bool keep_gates = false;
};

template <class Real>
struct KernelsOf {
  void (*gates_forward)(const GatesForward<Real>&);
  // out[k] = f(in[k]), k in [0, count); in and out may be equal.
  void (*sigmoid)(const Real* in, Real* out, index_t count);
  void (*tanh)(const Real* in, Real* out, index_t count);
};

struct KernelTable {
  const char* isa;
  int vector_bytes;
  KernelsOf<float> float32;
  KernelsOf<double> float64;
};

}  // namespace lstm_native::kernels
