// kernels/generic: unit: the kernels of backward passes.

namespace {

// clang-format off: each part uses those above it
#include "kernels/generic/gate_gradients.inl"
#include "kernels/generic/step_backward.inl"
#include "kernels/generic/over_rows.inl"
#include "kernels/generic/product_over_rows.inl"
#include "kernels/generic/panel_product.inl"
// clang-format on

}  // namespace

template <class Real>
void BackwardUnit<Real>::step(const StepBackward<Real>& step) {
  step_backward(step);
}
template <class Real>
void BackwardUnit<Real>::state(const StepBackward<Real>& step) {
  state_backward(step);
}
template <class Real>
void BackwardUnit<Real>::hidden(const HiddenStates<Real>& states) {
  hidden_states(states);
}
template <class Real>
void BackwardUnit<Real>::sum(const SumOfRows<Real>& sum) {
  sum_of_rows(sum);
}
template <class Real>
void BackwardUnit<Real>::sum_products(const SumOfProducts<Real>& sum) {
  sum_of_products(sum);
}
template <class Real>
void BackwardUnit<Real>::over_rows(const ProductOverRows<Real>& product) {
  product_over_rows(product);
}
template <class Real>
void BackwardUnit<Real>::panels(const PanelProduct<Real>& product) {
  panel_product(product);
}

template struct BackwardUnit<float>;
template struct BackwardUnit<double>;
