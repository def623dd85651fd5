// cuda: copies of several arrays in one launch. Issuing a launch takes longer than most of these copies.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "common/views.hpp"
#include "cuda/device_span.cuh"
#include "cuda/launch.cuh"

namespace lstm_native::cuda {

// to = from + added, element by element over up to three axes; an absent operand counts as zeros.
template <class Real>
struct CopyJob {
  StridedSpan<const Real> from, added;
  StridedSpan<Real> to;
  index_t sizes[3];
  bool without_gaps;  // of all three arrays: element n is at offset n

  __host__ __device__ index_t count() const { return sizes[0] * sizes[1] * sizes[2]; }
  __device__ void copy(index_t n) const {
    index_t i = 0;
    index_t j = 0;
    index_t k = n;
    if (!without_gaps) {
      index_t row = 0;
      if (count() <= 0xFFFFFFFF) {  // a division of 32 bits takes a fraction of the time
        row = static_cast<unsigned>(n) / static_cast<unsigned>(sizes[2]);
        i = static_cast<unsigned>(row) / static_cast<unsigned>(sizes[1]);
      } else {
        row = n / sizes[2];
        i = row / sizes[1];
      }
      j = row - i * sizes[1];
      k = n - row * sizes[2];
    }
    Real value = from.absent() ? Real{0} : from.memory.load(from.at(i, j, k));
    if (!added.absent()) value += added.memory.load(added.at(i, j, k));
    to.memory.store(to.at(i, j, k), value);
  }
};

inline constexpr std::size_t most_copy_jobs = 16;  // so that they fit a launch's arguments

template <class Real>
struct CopyJobs {
  CopyJob<Real> jobs[most_copy_jobs];
};

// columns: elements of the largest job at most; rows: jobs.
template <class Real>
__global__ void copy_each(CopyJobs<Real> all) {
  const CopyJob<Real>& job = all.jobs[blockIdx.y];
  const index_t step = static_cast<index_t>(gridDim.x) * static_cast<index_t>(blockDim.x);
  for (index_t n = column_of_thread(); n < job.count(); n += step) job.copy(n);
}

// Collects copies, and launches them together. All of them are independent of each other.
template <class Real>
class Copies {
 public:
  explicit Copies(cudaStream_t stream) : stream_(stream) {}

  void add(const StridedSpan<const Real>& from, const StridedSpan<Real>& to, const index_t (&sizes)[3],
           const StridedSpan<const Real>& added = {}) {
    if (sizes[0] * sizes[1] * sizes[2] == 0) return;
    if (count_ == most_copy_jobs) issue();
    CopyJob<Real>& job = jobs_.jobs[count_++];
    job.from = from;
    job.added = added;
    job.to = to;
    std::copy(std::begin(sizes), std::end(sizes), std::begin(job.sizes));
    job.without_gaps = has_no_gaps(from, sizes) && has_no_gaps(added, sizes) && has_no_gaps(to, sizes);
    if (job.without_gaps) {
      for (index_t(*strides)[3] : {&job.from.strides, &job.added.strides, &job.to.strides}) (*strides)[2] = 1;
    }
    most_elements_ = std::max(most_elements_, job.count());
  }

  // Storage is in C order without gaps.
  void add_to_storage(const StridedSpan<const Real>& from, const DeviceSpan<Real>& to, const index_t (&sizes)[3],
                      const StridedSpan<const Real>& added = {}) {
    add(from, in_storage(to, sizes), sizes, added);
  }
  void add_from_storage(const DeviceSpan<Real>& from, const StridedSpan<Real>& to, const index_t (&sizes)[3]) {
    add(in_storage(DeviceSpan<const Real>{from.data, from.size}, sizes), to, sizes);
  }

  void issue() {
    if (count_ == 0) return;
    // A thread takes several elements of a large job, so that few threads are idle in small jobs.
    constexpr index_t most_columns = index_t{2048} * block_threads;
    launch(stream_, std::min(most_elements_, most_columns), static_cast<index_t>(count_), 1, copy_each<Real>, jobs_);
    count_ = 0;
    most_elements_ = 0;
  }

 private:
  template <class Element>
  static StridedSpan<Element> in_storage(const DeviceSpan<Element>& span, const index_t (&sizes)[3]) {
    return strided_span<Element>(span.data, sizes, {sizes[1] * sizes[2], sizes[2], 1});
  }
  template <class Element>
  static bool has_no_gaps(const StridedSpan<Element>& span, const index_t (&sizes)[3]) {
    index_t expected = 1;
    for (int axis = 2; axis >= 0; --axis) {
      if (sizes[axis] > 1 && span.strides[axis] != expected) return span.absent();
      expected *= sizes[axis];
    }
    return true;
  }

  cudaStream_t stream_;
  CopyJobs<Real> jobs_{};
  std::size_t count_ = 0;
  index_t most_elements_ = 0;
};

}  // namespace lstm_native::cuda
