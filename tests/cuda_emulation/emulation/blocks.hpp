// emulation: blocks that run at once, with their shared memory, barriers and counters.
//
// A block is a strand (order.hpp). At each barrier it begins a new operation, so that what its threads did before is
// ordered before what they do next. A counter has a clock, which joins those of the blocks that arrived, as they were
// at their last barrier. A block that waits for the counter is ordered after them from its next barrier on. Nothing
// else orders blocks.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "emulation/fibers.hpp"
#include "emulation/machine.hpp"

namespace cuda_emulation {

inline constexpr std::size_t warp_size = 32;

// Threads that wait for each other.
struct Meeting {
  std::size_t arrived = 0;
  std::size_t generation = 0;

  // True for the last of `count` to arrive.
  bool wait(std::size_t count) {
    fibers().tell();
    if (++arrived == count) {
      arrived = 0;
      ++generation;
      return true;
    }
    for (const std::size_t mine = generation; generation == mine;) fibers().yield();
    return false;
  }
};

struct RunningWarp {
  Meeting meeting;
  std::vector<double> values[warp_size];
};

struct SharedWord {
  std::uint32_t written_in = 0, writer = 0;  // the operation, and the thread; 0: never
  std::uint32_t read_in = 0, reader = 0;     // the latest read; several: by more than one thread
};

struct RunningBlock {
  std::uint32_t strand = 0;
  std::uint32_t operation = 0;
  std::size_t threads = 0;
  const char* name = "";
  Clock at_barrier;  // the strand's clock when the operation began
  Clock waited_for;  // what the next barrier makes known to all threads
  Meeting meeting;
  std::vector<long> barriers;  // that each thread has come to
  long waits = 0;              // for other blocks
  std::vector<RunningWarp> warps;
  std::vector<char> shared;
  std::vector<SharedWord> shared_words;
};

// What runs now.
struct RunningLaunch {
  std::vector<RunningBlock> blocks;
  std::map<const void*, Clock> counters;
  std::size_t block = 0;
};
inline thread_local RunningLaunch* running_launch = nullptr;

inline RunningBlock& running_block() {
  if (running_launch == nullptr) throw Violation("a barrier in a launch whose blocks need not run at once");
  return running_launch->blocks[running_launch->block];
}

inline void begin_operation(RunningBlock& block) {
  Order& order = machine().order;
  order.wait(block.strand, block.waited_for);
  block.at_barrier = order.clock(block.strand);
  block.operation = order.begin(block.strand, block.name);
}

inline void synchronize_threads() {
  RunningBlock& block = running_block();
  Injected& injected = machine().injected;
  if (running.thread == 1) ++injected.barriers;
  if (block.barriers[(running.thread - 1) % block.threads]++ == injected.skip_barrier) return;
  if (block.meeting.wait(block.threads)) begin_operation(block);
  running.operation = block.operation;
}

// Bytes of the block's shared memory, checked to be readable or writable by this thread.
inline char* shared_bytes(std::size_t at, std::size_t bytes, bool writes) {
  constexpr std::uint32_t several = 0xFFFFFFFFU;
  RunningBlock& block = running_block();
  if (at + bytes > block.shared.size())
    throw Violation("shared memory out of bounds, beyond what the launch asked for");
  for (std::size_t word = at / 4; word < (at + bytes + 3) / 4; ++word) {
    SharedWord& state = block.shared_words[word];
    const bool others_wrote = state.written_in == running.operation && state.writer != running.thread;
    const bool others_read = state.read_in == running.operation && state.reader != running.thread;
    if (others_wrote || (writes && others_read)) {
      throw Violation("threads of a block use shared memory without a barrier between");
    }
    if (!writes && state.written_in == 0) throw Violation("read of shared memory that was never written");
    if (writes) {
      state.written_in = running.operation;
      state.writer = running.thread;
    } else {
      state.reader = state.read_in == running.operation && state.reader != running.thread ? several : running.thread;
      state.read_in = running.operation;
    }
  }
  return block.shared.data() + at;
}

// Each value's sum over groups of `lanes` neighbouring threads.
template <class Real>
void sum_in_warp(Real* values, std::size_t count, std::size_t lanes) {
  RunningBlock& block = running_block();
  const std::size_t thread = (running.thread - 1) % block.threads;
  RunningWarp& warp = block.warps[thread / warp_size];
  const std::size_t lane = thread % warp_size;
  const std::size_t present = std::min(warp_size, block.threads - thread / warp_size * warp_size);
  warp.values[lane].assign(values, values + count);
  warp.meeting.wait(present);
  for (std::size_t k = 0; k < count; ++k) {
    Real sum{0};
    for (std::size_t other = lane / lanes * lanes; other < (lane / lanes + 1) * lanes; ++other) {
      sum += static_cast<Real>(warp.values[other].at(k));
    }
    values[k] = sum;
  }
  warp.meeting.wait(present);
}

inline void arrive_at(unsigned* counter) {
  unsigned count = 0;
  machine().memory.use_atomically(counter, [&](char* place) {
    std::memcpy(&count, place, sizeof count);
    ++count;
    std::memcpy(place, &count, sizeof count);
  });
  join(running_launch->counters[counter], running_block().at_barrier);
  fibers().tell();
}

inline void wait_at(unsigned* counter, unsigned arrivals) {
  RunningBlock& block = running_block();
  Injected& injected = machine().injected;
  if (running_launch->block == 0) ++injected.block_waits;
  if (block.waits++ == injected.skip_block_wait) return;
  for (;;) {
    unsigned count = 0;
    machine().memory.use_atomically(counter, [&](const char* place) { std::memcpy(&count, place, sizeof count); });
    if (count >= arrivals) break;
    fibers().yield();
  }
  join(block.waited_for, running_launch->counters[counter]);
}

}  // namespace cuda_emulation
