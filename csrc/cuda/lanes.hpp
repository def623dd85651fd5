// cuda: lanes: the library's streams, each with what products on it need. They are kept for the next plan, because
// making a cuBLAS handle takes longer than many calls.
#pragma once

#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "cuda/resources.hpp"

namespace lstm_native::cuda {

struct Lane {
  Stream stream;
  Blas blas;
  DeviceMemory workspace;  // the handle's: not shared between streams, and the same in each launch of a graph
  std::size_t workspace_bytes = 0;
  Event event;

  // Products go to this stream from now on.
  void bind(cudaStream_t to) const {
    check(cublasSetStream(blas.get(), to), "cublasSetStream");  // which forgets the workspace
    check(cublasSetWorkspace(blas.get(), workspace.get(), workspace_bytes), "cublasSetWorkspace");
  }
};

class LanePool {
 public:
  // Of the current device.
  Lane take(int device) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      std::vector<Lane>& idle = idle_[device];
      if (!idle.empty()) {
        Lane lane = std::move(idle.back());
        idle.pop_back();
        return lane;
      }
    }
    Lane lane{make_stream(), make_blas(), {}, workspace_size(device), make_event()};
    lane.workspace = allocate(lane.workspace_bytes);
    return lane;
  }

  void give_back(int device, Lane lane) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_[device].push_back(std::move(lane));
  }

  void clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto& [device, lanes] : idle_) {
      const CurrentDevice current(device);
      lanes.clear();
    }
  }

 private:
  // What cuBLAS's documentation recommends.
  static std::size_t workspace_size(int device) {
    int major = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute");
    return (major >= 9 ? std::size_t{32} : std::size_t{4}) << 20U;
  }

  std::mutex mutex_;
  std::map<int, std::vector<Lane>> idle_;
};

inline LanePool& lane_pool() {
  static auto* const pool = new LanePool;  // not destroyed at exit, when the runtime may be gone already
  return *pool;
}

}  // namespace lstm_native::cuda
