// driver: sequences that share weights and advance in any combination; each keeps its state between calls.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "driver/stream.hpp"

namespace lstm_native::driver {

// Not for use by several threads at once. The weights have one direction, and outlive the sessions.
template <class Real>
class Sessions {
 public:
  // problem: one step of one row.
  Sessions(const plan::Problem& problem, const PackedWeights& weights, index_t capacity);

  // Returns a stream whose rows are the sessions at these places, with their states. It is valid until the next call.
  Stream<Real>& gather(const std::vector<index_t>& places);
  // Takes the states of the stream's rows as those of the sessions at these places.
  void scatter(const std::vector<index_t>& places, Stream<Real>& stream);

  // The states of one session: (layers, output_size) and (layers, cell_size).
  Real* hidden(index_t place) { return hidden_.data() + place * hidden_elements(); }
  Real* cell(index_t place) { return cell_.data() + place * cell_elements(); }
  index_t hidden_elements() const { return problem_.num_layers * problem_.output_size; }
  index_t cell_elements() const { return problem_.num_layers * problem_.cell_size; }
  void reset(index_t place);

  const plan::Problem& problem() const { return problem_; }
  index_t bytes() const;  // of all that it holds
  void release_streams() { streams_.clear(); }

 private:
  Stream<Real>& stream_of(index_t rows);

  plan::Problem problem_;
  const PackedWeights& weights_;
  std::vector<Real> hidden_;
  std::vector<Real> cell_;
  std::list<std::unique_ptr<Stream<Real>>> streams_;  // with different numbers of rows; the last used comes first
};

}  // namespace lstm_native::driver
