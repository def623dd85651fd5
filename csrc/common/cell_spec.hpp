// common: which cell a call computes, as plain data. No functions here: per-ISA units include this file.
#pragma once

#include <cstdint>

namespace lstm_native {

// Defined as ONNX's operators of these names.
enum class Activation : std::uint32_t {
  sigmoid = 0,
  tanh = 1,
  relu = 2,
  affine = 3,            // alpha x + beta
  leaky_relu = 4,        // x where that is positive, else alpha x
  thresholded_relu = 5,  // x where that is above alpha, else 0
  scaled_tanh = 6,       // alpha tanh(beta x)
  hard_sigmoid = 7,      // alpha x + beta, bounded to [0, 1]
  elu = 8,               // x where that is positive, else alpha (exp(x) - 1)
  softsign = 9,          // x / (1 + |x|)
  softplus = 10          // log(1 + exp(x))
};

struct ActivationSpec {
  Activation kind = Activation::sigmoid;
  double alpha = 0.0;
  double beta = 0.0;
};

// Each has a file in csrc/kernels/generic/cells/, with its formulas.
enum class CellKind : std::uint32_t { standard = 0, coupled = 1, general = 2 };

struct CellSpec {
  CellKind kind = CellKind::standard;
  // The other fields are for a general cell.
  ActivationSpec gates{Activation::sigmoid};   // of i, f and o
  ActivationSpec candidate{Activation::tanh};  // of g
  ActivationSpec output{Activation::tanh};     // of c_t, on its way to h_t
  double clip = 0.0;                           // pre-activations are bounded to [-clip, clip]; 0: they are not
  bool input_forget = false;                   // f = 1 - i
  bool peepholes = false;                      // i and f see c_(t-1), o sees c_t
};

}  // namespace lstm_native
