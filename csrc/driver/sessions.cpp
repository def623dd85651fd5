#include "driver/sessions.hpp"

#include <algorithm>

#include "common/checked_size.hpp"

namespace lstm_native::driver {
namespace {

// The streams of this many different numbers of rows are kept. A server's load varies around a few numbers.
constexpr std::size_t most_streams = 64;

std::size_t elements(index_t capacity, index_t layers, index_t width) {
  return static_cast<std::size_t>(checked_product({capacity, layers, width}));
}

// Copies the states of `places`, (places, layers, width), to (layers, rows, width), or back.
template <class Real, class Copy>
void for_each_state(const std::vector<index_t>& places, index_t layers, index_t width, const Copy& copy) {
  const auto rows = static_cast<index_t>(places.size());
  for (index_t row = 0; row < rows; ++row) {
    for (index_t layer = 0; layer < layers; ++layer) {
      copy((places[static_cast<std::size_t>(row)] * layers + layer) * width, (layer * rows + row) * width);
    }
  }
}

}  // namespace

template <class Real>
Sessions<Real>::Sessions(const plan::Problem& problem, const PackedWeights& weights, index_t capacity)
    : problem_(problem),
      weights_(weights),
      hidden_(elements(capacity, problem.num_layers, problem.output_size)),
      cell_(elements(capacity, problem.num_layers, problem.cell_size)) {}

template <class Real>
Stream<Real>& Sessions<Real>::stream_of(index_t rows) {
  const auto found = std::find_if(streams_.begin(), streams_.end(),
                                  [&](const auto& stream) { return stream->problem().batch == rows; });
  if (found != streams_.end()) {
    streams_.splice(streams_.begin(), streams_, found);
  } else {
    plan::Problem problem = problem_;
    problem.batch = rows;
    auto stream = std::make_unique<Stream<Real>>(problem, weights_);
    if (streams_.size() == most_streams) streams_.pop_back();
    streams_.push_front(std::move(stream));
  }
  return *streams_.front();
}

template <class Real>
Stream<Real>& Sessions<Real>::gather(const std::vector<index_t>& places) {
  Stream<Real>& stream = stream_of(static_cast<index_t>(places.size()));
  const auto gathered = [&](index_t width, const Real* from, Real* to) {
    for_each_state<Real>(places, problem_.num_layers, width,
                         [&](index_t kept, index_t row) { std::copy_n(from + kept, width, to + row); });
  };
  gathered(problem_.output_size, hidden_.data(), stream.hidden());
  gathered(problem_.cell_size, cell_.data(), stream.cell());
  return stream;
}

template <class Real>
void Sessions<Real>::scatter(const std::vector<index_t>& places, Stream<Real>& stream) {
  const auto scattered = [&](index_t width, const Real* from, Real* to) {
    for_each_state<Real>(places, problem_.num_layers, width,
                         [&](index_t kept, index_t row) { std::copy_n(from + row, width, to + kept); });
  };
  scattered(problem_.output_size, stream.hidden(), hidden_.data());
  scattered(problem_.cell_size, stream.cell(), cell_.data());
}

template <class Real>
void Sessions<Real>::reset(index_t place) {
  std::fill_n(hidden(place), hidden_elements(), Real{0});
  std::fill_n(cell(place), cell_elements(), Real{0});
}

template <class Real>
index_t Sessions<Real>::bytes() const {
  index_t bytes = static_cast<index_t>((hidden_.size() + cell_.size()) * sizeof(Real));
  for (const auto& stream : streams_) bytes += stream->bytes();
  return bytes;
}

template class Sessions<float>;
template class Sessions<double>;

}  // namespace lstm_native::driver
