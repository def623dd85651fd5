// kernels/generic: unit: the table of an ISA's kernels, and those that no other unit defines.

namespace {

// clang-format off: each part uses those above it
#include "kernels/generic/elementwise.inl"
#include "kernels/generic/packing.inl"
#include "kernels/generic/probes.inl"
#include "kernels/generic/product_in_place.inl"
// clang-format on

template <class Real, class Weight>
constexpr StepKernels<Real> forward_kernels = {format_of<Weight>, ForwardUnit<Real, Weight>::project,
                                               ForwardUnit<Real, Weight>::step};

template <class Real>
constexpr BackwardKernels<Real> backward_kernels = {BackwardUnit<Real>::step,         BackwardUnit<Real>::state,
                                                    BackwardUnit<Real>::hidden,       BackwardUnit<Real>::sum,
                                                    BackwardUnit<Real>::sum_products, BackwardUnit<Real>::over_rows,
                                                    BackwardUnit<Real>::panels};

// Of an ISA, or of one of its variants: CPUs that have an instruction for some products.
template <class Products, template <int> class Integers>
constexpr KernelTable table_of(const char* name) {
  return {
      name,
      isa_name,
      vector_bytes,
      tile_rows,
      {forward_kernels<float, float>, forward_kernels<float, Float16>, forward_kernels<float, BFloat16>,
       forward_kernels<float, Products>, forward_kernels<float, Integers<2>>, forward_kernels<float, Integers<1>>,
       product_in_place<float>, pack_rows<float>, sigmoid_array<float>, tanh_array<float>, backward_kernels<float>},
      {forward_kernels<double, double>,
       {},
       {},
       {},
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
}

}  // namespace

extern const KernelTable table;
constexpr KernelTable table = table_of<RoundedBFloat16, Int8>(isa_name);
#ifdef LSTM_NATIVE_DOT_VARIANTS
extern const KernelTable table_vnni;
constexpr KernelTable table_vnni = table_of<RoundedBFloat16, Int8Dot>("avx512_vnni");
extern const KernelTable table_bf16;
constexpr KernelTable table_bf16 = table_of<BFloat16Dot, Int8Dot>("avx512_bf16");
#endif
