// kernels/generic: the activations over arrays, so that tests can sweep exactly the code that the gates run.

template <class Real>
void sigmoid_array(const Real* in, Real* out, index_t count) {
  index_t k = 0;
  for (; k + lanes<Real> <= count; k += lanes<Real>) store(out + k, sigmoid<Real>(load(in + k)));
  if (k < count) store_some(out + k, sigmoid<Real>(load_some(in + k, count - k)), count - k);
}

template <class Real>
void tanh_array(const Real* in, Real* out, index_t count) {
  index_t k = 0;
  for (; k + lanes<Real> <= count; k += lanes<Real>) store(out + k, tanh<Real>(load(in + k)));
  if (k < count) store_some(out + k, tanh<Real>(load_some(in + k, count - k)), count - k);
}
