// kernels/generic: the whole algorithm, for one ISA. Included inside that ISA's namespace, after its primitives.

namespace {

// clang-format off: each part uses those above it
#include "kernels/generic/vector.inl"
#include "kernels/generic/halves.inl"
#include LSTM_NATIVE_ISA_PRIMITIVES
#include "kernels/generic/activations.inl"
#include "kernels/generic/elementwise.inl"
#include "kernels/generic/gates.inl"
#include "kernels/generic/weights.inl"
#include "kernels/generic/tile.inl"
#include "kernels/generic/packing.inl"
#include "kernels/generic/probes.inl"
#include "kernels/generic/product_in_place.inl"
#include "kernels/generic/step_forward.inl"
#include "kernels/generic/gate_gradients.inl"
#include "kernels/generic/step_backward.inl"
#include "kernels/generic/over_rows.inl"
#include "kernels/generic/product_over_rows.inl"
#include "kernels/generic/panel_product.inl"
// clang-format on

}  // namespace

extern const KernelTable table;
const KernelTable table = {
    isa_name,
    vector_bytes,
    tile_rows,
    {{project<float, float>, step_forward<float, float>},
     {project<float, Float16>, step_forward<float, Float16>},
     {project<float, BFloat16>, step_forward<float, BFloat16>},
     product_in_place<float>,
     pack_rows<float>,
     sigmoid_array<float>,
     tanh_array<float>,
     {step_backward<float>, state_backward<float>, hidden_states<float>, sum_of_rows<float>, product_over_rows<float>,
      panel_product<float>}},
    {{project<double, double>, step_forward<double, double>},
     {},
     {},
     product_in_place<double>,
     pack_rows<double>,
     sigmoid_array<double>,
     tanh_array<double>,
     {step_backward<double>, state_backward<double>, hidden_states<double>, sum_of_rows<double>,
      product_over_rows<double>, panel_product<double>}},
    multiply_adds,
    read,
};
