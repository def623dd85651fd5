// kernels/generic: unit: the table of an ISA's kernels, and the kernels that no other unit defines.

namespace {

// clang-format off: each part uses those above it
#include "kernels/generic/elementwise.inl"
#include "kernels/generic/packing.inl"
#include "kernels/generic/formats.inl"
#include "kernels/generic/probes.inl"
#include "kernels/generic/product_in_place.inl"
#include "kernels/generic/weights.inl"
// clang-format on

template <class Real, class Weight>
constexpr StepKernels<Real> forward_kernels = {format_of<Weight>,
                                               Packing<Real, Weight>::pack,
                                               Packing<Real, Weight>::unpack,
                                               Widening<Real, Weight>::widen,
                                               ForwardUnit<Real, Weight>::project,
                                               ForwardUnit<Real, Weight>::step,
                                               ForwardUnit<Real, Weight>::multiply};

template <class Real>
constexpr BackwardKernels<Real> backward_kernels = {BackwardUnit<Real>::step,         BackwardUnit<Real>::state,
                                                    BackwardUnit<Real>::hidden,       BackwardUnit<Real>::sum,
                                                    BackwardUnit<Real>::sum_products, BackwardUnit<Real>::over_rows,
                                                    BackwardUnit<Real>::panels};

// Of an ISA, or of one of its variants: CPUs that have an instruction for some products.
template <class Products, template <int> class Integers>
constexpr StepKernels<float> float_formats[] = {
    forward_kernels<float, float>,    forward_kernels<float, Float16>,     forward_kernels<float, BFloat16>,
    forward_kernels<float, Products>, forward_kernels<float, Integers<2>>, forward_kernels<float, Integers<1>>};
constexpr StepKernels<double> double_formats[] = {forward_kernels<double, double>};

template <class Real, int count>
constexpr KernelsOf<Real> kernels_of(const StepKernels<Real> (&formats)[count]) {
  return {formats,
          count,
          product_in_place<Real>,
          pack_rows<Real>,
          sigmoid_array<Real>,
          tanh_array<Real>,
          backward_kernels<Real>};
}

template <class Products, template <int> class Integers>
constexpr KernelTable table_of(const char* name) {
  return {name,
          isa_name,
          vector_bytes,
          tile_rows,
          kernels_of(float_formats<Products, Integers>),
          kernels_of(double_formats),
          read};
}

}  // namespace

extern const KernelTable table;
constexpr KernelTable table = table_of<RoundedBFloat16, Int8>(isa_name);
#ifdef LSTM_NATIVE_INTEGER_DOT_VARIANT
extern const KernelTable table_integer_dot;
constexpr KernelTable table_integer_dot = table_of<RoundedBFloat16, Int8Dot>(LSTM_NATIVE_INTEGER_DOT_VARIANT);
#endif
#ifdef LSTM_NATIVE_BFLOAT16_DOT_VARIANT
extern const KernelTable table_bfloat16_dot;
constexpr KernelTable table_bfloat16_dot = table_of<BFloat16Dot, Int8Dot>(LSTM_NATIVE_BFLOAT16_DOT_VARIANT);
#endif
