// emulation: the runtime's calls for streams, events, captured graphs.
#pragma once

#include <memory>
#include <utility>

#include "emulation/launch.hpp"

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  using namespace cuda_emulation;
  return guarded([&] {
    *stream = new Stream;
    (*stream)->strand = machine().order.add_strand();
    (*stream)->blocking = (flags & cudaStreamNonBlocking) == 0;
    machine().streams.insert(*stream);
    return cudaSuccess;
  });
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&] {
    if (machine().streams.erase(stream) == 0) return cudaErrorInvalidResourceHandle;
    machine().order.remove_strand(stream->strand);
    delete stream;
    return cudaSuccess;
  });
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&] {
    Stream* s = stream_of(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    machine().issue(*s);
    machine().order.wait_for_strand(Order::host, s->strand);
    return cudaSuccess;
  });
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  using namespace cuda_emulation;
  return guarded([&] {
    *event = new Event;
    machine().events.insert(*event);
    return cudaSuccess;
  });
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  using namespace cuda_emulation;
  return guarded([&] {
    if (machine().events.erase(event) == 0) return cudaErrorInvalidResourceHandle;
    delete event;
    return cudaSuccess;
  });
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&] {
    Stream* s = stream_of(stream);
    if (s == nullptr || machine().events.count(event) == 0) return cudaErrorInvalidResourceHandle;
    machine().record(*event, *s);
    return cudaSuccess;
  });
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    Stream* s = stream_of(stream);
    if (s == nullptr || machine().events.count(event) == 0) return cudaErrorInvalidResourceHandle;
    Injected& injected = machine().injected;
    ++injected.waits;
    if (injected.skip_wait >= 0 && injected.skip_wait-- == 0) return cudaSuccess;
    if (!event->recorded) return cudaSuccess;  // as CUDA has it
    return machine().wait(*s, *event) ? cudaSuccess : cudaErrorStreamCaptureIsolation;
  });
}

inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  using namespace cuda_emulation;
  return guarded([&] {
    Stream* s = stream_of(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s == &machine().default_stream || s->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    machine().begin_capture(*s);
    return cudaSuccess;
  });
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    Stream* s = stream_of(stream);
    if (s == nullptr || s->capture == nullptr || s->capture->origin != s) return cudaErrorInvalidValue;
    auto captured = machine().end_capture(*s);
    if (captured == nullptr) {
      machine().violation = "a captured stream was not joined";
      return cudaErrorStreamCaptureUnjoined;
    }
    *graph = new std::shared_ptr<Graph>(std::move(captured));
    return cudaSuccess;
  });
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new cuda_emulation::ExecutableGraph{*graph, {}};
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  using namespace cuda_emulation;
  return guarded([&]() -> cudaError_t {
    Stream* s = stream_of(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    machine().launch(*executable, *s);
    return cudaSuccess;
  });
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return cuda_emulation::guarded([&] {
    for (const auto strand : executable->strands) cuda_emulation::machine().order.remove_strand(strand);
    delete executable;
    return cudaSuccess;
  });
}
