// kernels/generic: the members of ForwardUnit, for the units that instantiate it.

namespace {

// clang-format off: each part uses those above it
#include "kernels/generic/finish.inl"
#include "kernels/generic/weights.inl"
#include "kernels/generic/round_vectors.inl"
#include "kernels/generic/tile.inl"
#include "kernels/generic/groups.inl"
#include "kernels/generic/products.inl"
#include "kernels/generic/peak.inl"
#include "kernels/generic/step_forward.inl"
// clang-format on

}  // namespace

template <class Real, class Weight>
void ForwardUnit<Real, Weight>::project(const StepForward<Real>& step) {
  project_rows<Real, Weight>(step);
}
template <class Real, class Weight>
void ForwardUnit<Real, Weight>::step(const StepForward<Real>& step) {
  step_forward<Real, Weight>(step);
}
template <class Real, class Weight>
Real ForwardUnit<Real, Weight>::multiply(index_t rounds) {
  return multiply_in_registers<Real, Weight>(rounds);
}
