// emulation: which operation is known to have ended before which other one begins.
//
// Every stream, every branch of a captured graph and the host is a strand with a clock per strand (a vector clock). An
// operation that is no later than what a strand's clock says of the operation's own strand is ordered before whatever
// that strand does next. Events, graph launches and synchronisation by the host join clocks; nothing else does.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cuda_emulation {

using Clock = std::vector<std::uint32_t>;

inline void join(Clock& into, const Clock& from) {
  if (into.size() < from.size()) into.resize(from.size());
  for (std::size_t k = 0; k < from.size(); ++k) into[k] = std::max(into[k], from[k]);
}

struct Operation {
  std::uint32_t strand;
  std::uint32_t clock;
  const char* name;
};

class Order {
 public:
  static constexpr std::uint32_t host = 0;

  Order() : operations_(1), clocks_(1) {}

  std::uint32_t add_strand() {
    if (!unused_.empty()) {
      const std::uint32_t strand = unused_.back();
      unused_.pop_back();
      return strand;
    }
    clocks_.emplace_back();
    return static_cast<std::uint32_t>(clocks_.size() - 1);
  }
  // The number may be used again; its clock goes on.
  void remove_strand(std::uint32_t strand) { unused_.push_back(strand); }

  Clock& clock(std::uint32_t strand) { return clocks_[strand]; }
  void wait(std::uint32_t strand, const Clock& for_clock) { join(clocks_[strand], for_clock); }
  void wait_for_strand(std::uint32_t strand, std::uint32_t other) {
    if (strand != other) join(clocks_[strand], clocks_[other]);
  }

  // The number of a new operation, never 0.
  std::uint32_t begin(std::uint32_t strand, const char* name) {
    Clock& clock = clocks_[strand];
    if (clock.size() <= strand) clock.resize(strand + 1);
    operations_.push_back({strand, ++clock[strand], name});
    return static_cast<std::uint32_t>(operations_.size() - 1);
  }

  bool is_before(std::uint32_t operation, std::uint32_t strand) const {
    if (operation == 0) return true;
    const Operation& earlier = operations_[operation];
    const Clock& clock = clocks_[strand];
    return earlier.strand == strand || (earlier.strand < clock.size() && earlier.clock <= clock[earlier.strand]);
  }

  std::string describe(std::uint32_t operation) const {
    return std::string(operations_[operation].name) + " on strand " + std::to_string(operations_[operation].strand);
  }

 private:
  std::vector<Operation> operations_;
  std::vector<Clock> clocks_;
  std::vector<std::uint32_t> unused_;
};

}  // namespace cuda_emulation
