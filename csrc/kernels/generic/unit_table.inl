// kernels/generic: unit: the table of an ISA's kernels, and those that no other unit defines.

namespace {

// clang-format off: each part uses those above it
#include "kernels/generic/elementwise.inl"
#include "kernels/generic/packing.inl"
#include "kernels/generic/probes.inl"
#include "kernels/generic/product_in_place.inl"
// clang-format on

template <class Real, class Weight>
constexpr StepKernels<Real> forward_kernels = {{static_cast<index_t>(sizeof(Weight)), columns_of_group<Weight>},
                                               ForwardUnit<Real, Weight>::project,
                                               ForwardUnit<Real, Weight>::step};

template <class Real>
constexpr BackwardKernels<Real> backward_kernels = {BackwardUnit<Real>::step,      BackwardUnit<Real>::state,
                                                    BackwardUnit<Real>::hidden,    BackwardUnit<Real>::sum,
                                                    BackwardUnit<Real>::over_rows, BackwardUnit<Real>::panels};

}  // namespace

extern const KernelTable table;
const KernelTable table = {
    isa_name,
    vector_bytes,
    tile_rows,
    {forward_kernels<float, float>, forward_kernels<float, Float16>, forward_kernels<float, BFloat16>,
     product_in_place<float>, pack_rows<float>, sigmoid_array<float>, tanh_array<float>, backward_kernels<float>},
    {forward_kernels<double, double>,
     {},
     {},
     product_in_place<double>,
     pack_rows<double>,
     sigmoid_array<double>,
     tanh_array<double>,
     backward_kernels<double>},
    multiply_adds,
    read,
};
