// kernels/generic: the whole algorithm, for one ISA. Included inside that ISA's namespace, after its primitives.

namespace {

#include "kernels/generic/vector.inl"

// The ISA's own primitives come between the vector types and their users.
#include LSTM_NATIVE_ISA_PRIMITIVES

#include "kernels/generic/activations.inl"
#include "kernels/generic/elementwise.inl"
#include "kernels/generic/gates_forward.inl"

}  // namespace

extern const KernelTable table;
const KernelTable table = {
    isa_name,
    vector_bytes,
    {gates_forward<float>, sigmoid_array<float>, tanh_array<float>},
    {gates_forward<double>, sigmoid_array<double>, tanh_array<double>},
};
