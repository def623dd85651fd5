// emulation: streams, events, captured graphs. Operations run at once, in the order in which they are issued, which is
// one of the orders that a device may choose; the clocks tell whether another order was possible, too.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "emulation/memory.hpp"
#include "emulation/order.hpp"

namespace cuda_emulation {

struct Capture;

struct Stream {
  std::uint32_t strand = 0;
  bool blocking = true;  // waits for the default stream, which waits for it
  std::shared_ptr<Capture> capture;
  std::size_t branch = 0;
};

struct Event {
  Clock clock;
  bool recorded = false;
  std::shared_ptr<Capture> capture;  // that its last record belongs to
  std::size_t node = 0;
};

// A captured operation, or an event's record or wait.
struct Node {
  enum Kind { operation, record, wait } kind;
  std::size_t branch;
  const char* name;
  std::function<void()> body;
  std::size_t awaited;  // the node of the record that is waited for
};

struct Capture {
  bool ended = false;
  Stream* origin = nullptr;
  std::thread::id thread;  // that began it, and alone must not allocate: captures are cudaStreamCaptureModeThreadLocal
  std::vector<Stream*> branches;
  std::vector<Clock> clocks;    // per branch: to see whether all were joined
  std::vector<Clock> recorded;  // per node
  std::vector<Node> nodes;
};

struct Graph {
  std::vector<Node> nodes;
  std::size_t branches = 0;
};

struct ExecutableGraph {
  std::shared_ptr<const Graph> graph;
  std::vector<std::uint32_t> strands;
};

// Faults that a test injects, and what it watches.
struct Injected {
  long skip_wait = -1;        // the so-manieth cudaStreamWaitEvent from now does nothing
  long fail_allocation = -1;  // the so-manieth allocation from now finds no memory
  long skip_barrier = -1;     // each thread's so-manieth barrier in a launch of blocks that run at once
  long skip_block_wait = -1;  // each block's so-manieth wait for others in such a launch
  long waits = 0;
  long barriers = 0;     // of the first thread of such launches
  long block_waits = 0;  // of their first block
  long launches = 0;     // of kernels, graphs' included
  long graph_launches = 0;
  long products = 0;
  long bytes_to_device = 0;
  long bytes_to_host = 0;
};

class Machine {
 public:
  Machine() : memory(order) {
    default_stream.strand = order.add_strand();
    thread_stream.strand = order.add_strand();
    streams.insert(&default_stream);
    streams.insert(&thread_stream);
  }

  std::recursive_mutex mutex;
  Order order;
  Memory memory;
  Stream default_stream;
  Stream thread_stream;
  std::set<Stream*> streams;
  std::set<Event*> events;
  Injected injected;
  std::string violation;  // the last one
  int devices = 1;
  int device = 0;

  // The strand of a stream that is about to get something to do, ordered after what the host has waited for.
  std::uint32_t issue(Stream& stream) {
    order.wait(stream.strand, order.clock(Order::host));
    if (&stream == &default_stream) {
      for (Stream* other : streams) {
        if (other->blocking) order.wait_for_strand(stream.strand, other->strand);
      }
    } else if (stream.blocking) {
      order.wait_for_strand(stream.strand, default_stream.strand);
    }
    return stream.strand;
  }

  void run(std::uint32_t strand, const char* name, const std::function<void()>& body) {
    running = {order.begin(strand, name), strand, 0};
    try {
      body();
    } catch (...) {
      running = {};
      throw;
    }
    running = {};
  }

  // Now, or where the stream is captured, whenever the graph is launched.
  void enqueue(Stream& stream, const char* name, std::function<void()> body) {
    if (stream.capture == nullptr) {
      run(issue(stream), name, body);
      return;
    }
    Clock& clock = stream.capture->clocks[stream.branch];
    if (clock.size() <= stream.branch) clock.resize(stream.branch + 1);
    ++clock[stream.branch];
    stream.capture->nodes.push_back({Node::operation, stream.branch, name, std::move(body), 0});
    stream.capture->recorded.emplace_back();
  }

  void record(Event& event, Stream& stream) {
    event.recorded = true;
    event.capture = stream.capture;
    if (stream.capture == nullptr) {
      event.clock = order.clock(issue(stream));
      return;
    }
    event.node = stream.capture->nodes.size();
    stream.capture->nodes.push_back({Node::record, stream.branch, "record", {}, 0});
    stream.capture->recorded.push_back(stream.capture->clocks[stream.branch]);
  }

  // False where CUDA refuses it.
  bool wait(Stream& stream, Event& event) {
    if (event.capture == nullptr) {
      if (stream.capture != nullptr) return false;
      issue(stream);
      order.wait(stream.strand, event.clock);
      return true;
    }
    if (event.capture->ended || (stream.capture != nullptr && stream.capture != event.capture)) return false;
    if (stream.capture == nullptr) {
      if (&stream == &default_stream) return false;
      stream.capture = event.capture;
      stream.branch = stream.capture->branches.size();
      stream.capture->branches.push_back(&stream);
      stream.capture->clocks.emplace_back();
    }
    join(stream.capture->clocks[stream.branch], event.capture->recorded[event.node]);
    stream.capture->nodes.push_back({Node::wait, stream.branch, "wait", {}, event.node});
    stream.capture->recorded.emplace_back();
    return true;
  }

  void begin_capture(Stream& stream) {
    stream.capture = std::make_shared<Capture>();
    stream.capture->origin = &stream;
    stream.capture->thread = std::this_thread::get_id();
    stream.capture->branches.push_back(&stream);
    stream.capture->clocks.emplace_back();
    stream.branch = 0;
  }

  bool this_thread_captures() const {
    return std::any_of(streams.begin(), streams.end(), [](const Stream* stream) {
      return stream->capture != nullptr && stream->capture->thread == std::this_thread::get_id();
    });
  }

  // Null where a branch was not joined.
  std::shared_ptr<Graph> end_capture(Stream& stream) {
    const std::shared_ptr<Capture> capture = stream.capture;
    for (Stream* branch : capture->branches) branch->capture = nullptr;
    capture->ended = true;
    Clock& end = capture->clocks[0];
    for (std::size_t b = 0; b < capture->branches.size(); ++b) {
      const Clock& clock = capture->clocks[b];
      const std::uint32_t last = b < clock.size() ? clock[b] : 0;
      if (last > (b < end.size() ? end[b] : 0)) return nullptr;
    }
    auto graph = std::make_shared<Graph>();
    graph->nodes = std::move(capture->nodes);
    graph->branches = capture->branches.size();
    return graph;
  }

  void launch(ExecutableGraph& executable, Stream& stream) {
    const std::uint32_t begin = issue(stream);
    while (executable.strands.size() < executable.graph->branches) executable.strands.push_back(order.add_strand());
    // One launch of a graph ends before its next one begins.
    for (const std::uint32_t a : executable.strands) order.wait_for_strand(begin, a);
    for (const std::uint32_t a : executable.strands) order.wait_for_strand(a, begin);
    std::vector<Clock> recorded(executable.graph->nodes.size());
    for (std::size_t k = 0; k < recorded.size(); ++k) {
      const Node& node = executable.graph->nodes[k];
      const std::uint32_t strand = executable.strands[node.branch];
      if (node.kind == Node::operation) run(strand, node.name, node.body);
      if (node.kind == Node::record) recorded[k] = order.clock(strand);
      if (node.kind == Node::wait) order.wait(strand, recorded[node.awaited]);
    }
    for (const std::uint32_t a : executable.strands) order.wait_for_strand(begin, a);
    ++injected.graph_launches;
  }

  void synchronise_everything() {
    for (Stream* stream : streams) order.wait_for_strand(Order::host, stream->strand);
  }
};

inline Machine& machine() {
  static auto* const made = new Machine;  // never destroyed: arrays may outlive any order of destruction
  return *made;
}

}  // namespace cuda_emulation
