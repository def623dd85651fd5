// Code that is wrong on purpose, a fault a function, to show that the emulation's checks fire. Each returns the error
// code of the call that should have failed, 0 where nothing did.
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <thread>

#include "cuda/block.cuh"
#include "cuda/device_span.cuh"
#include "cuda/launch.cuh"
#include "cuda/resources.hpp"
#include "faults.hpp"

namespace lstm_native::cuda::faults {
namespace {

constexpr index_t count = 300;

struct Numbers {
  DeviceMemory memory = allocate(count * sizeof(float));
  DeviceSpan<float> span{static_cast<float*>(memory.get()), count};
};

__global__ void put(DeviceSpan<float> to, index_t limit) {
  const index_t k = column_of_thread();
  if (k < limit) to.store(k, 1.0F);
}
__global__ void put_raw(float* to, index_t limit) {
  const index_t k = column_of_thread();
  if (k < limit) __stwb(to + k, 1.0F);
}
__global__ void take(DeviceSpan<float> from, DeviceSpan<float> to) {
  const index_t k = column_of_thread();
  if (k < from.size) to.store(k, from.load(k));
}
__global__ void put_all_in_one(DeviceSpan<float> to) { to.store(0, static_cast<float>(threadIdx.x)); }
__global__ void shift(DeviceSpan<float> numbers) {
  const index_t k = column_of_thread();
  if (k + 1 < numbers.size) numbers.store(k, numbers.load(k + 1));
}

template <class... Parameters, class... Arguments>
cudaError_t run(cudaStream_t stream, dim3 grid, dim3 block, void (*kernel)(Parameters...), Arguments... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

const dim3 grid(3);
const dim3 block(128);

}  // namespace

int thread_beyond_the_span() {
  const Numbers numbers;
  return run(nullptr, grid, block, put, numbers.span, count + 1);
}
int thread_beyond_the_allocation() {
  const Numbers numbers;
  return run(nullptr, grid, block, put_raw, numbers.span.data, count + 1);
}
int block_too_large() {
  const Numbers numbers;
  return run(nullptr, dim3(1), dim3(1025), put, numbers.span, count);
}
int grid_too_high() {
  const Numbers numbers;
  return run(nullptr, dim3(1, 65536), block, put, numbers.span, index_t{0});
}
int empty_grid() {
  const Numbers numbers;
  return run(nullptr, dim3(0), block, put, numbers.span, count);
}
int use_after_free() {
  DeviceSpan<float> span;
  {
    const Numbers numbers;
    span = numbers.span;
  }
  return run(nullptr, grid, block, put, span, count);
}
int host_pointer() {
  float host[count] = {};
  return run(nullptr, grid, block, put, DeviceSpan<float>{host, count}, count);
}
int copy_from_a_host_pointer() {
  const Numbers numbers;
  float host[count] = {};
  return cudaMemcpyAsync(numbers.span.data, host, sizeof host, cudaMemcpyDeviceToDevice, nullptr);
}
int read_of_what_was_never_written() {
  const Numbers from, to;
  return run(nullptr, grid, block, take, from.span, to.span);
}
int unordered_read() {
  const Numbers from, to;
  const Stream a = make_stream(), b = make_stream();
  check(run(a.get(), grid, block, put, from.span, count), "put");
  return run(b.get(), grid, block, take, from.span, to.span);
}
int unordered_write() {
  const Numbers from, to;
  const Stream a = make_stream(), b = make_stream();
  check(run(nullptr, grid, block, put, from.span, count), "put");
  check(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize");
  check(run(a.get(), grid, block, take, from.span, to.span), "take");
  return run(b.get(), grid, block, put, from.span, count);
}
int ordered_by_an_event() {
  const Numbers from, to;
  const Stream a = make_stream(), b = make_stream();
  const Event event = make_event();
  check(run(a.get(), grid, block, put, from.span, count), "put");
  order(a.get(), b.get(), event);
  return run(b.get(), grid, block, take, from.span, to.span);
}
int event_recorded_too_early() {
  const Numbers from, to;
  const Stream a = make_stream(), b = make_stream();
  const Event event = make_event();
  order(a.get(), b.get(), event);
  check(run(a.get(), grid, block, put, from.span, count), "put");
  return run(b.get(), grid, block, take, from.span, to.span);
}
int freed_while_in_use() {
  const Stream a = make_stream(), b = make_stream();
  void* memory = nullptr;
  check(cudaMallocAsync(&memory, count * sizeof(float), a.get()), "cudaMallocAsync");
  check(run(a.get(), grid, block, put_raw, static_cast<float*>(memory), count), "put");
  const cudaError_t error = cudaFreeAsync(memory, b.get());
  (void)cudaFreeAsync(memory, a.get());
  return error;
}
int threads_that_write_one_place() {
  const Numbers numbers;
  return run(nullptr, dim3(1), block, put_all_in_one, numbers.span);
}
int threads_that_read_each_others() {
  const Numbers numbers;
  check(run(nullptr, grid, block, put, numbers.span, count), "put");
  return run(nullptr, grid, block, shift, numbers.span);
}
int branch_that_is_not_joined() {
  const Numbers numbers;
  const Stream a = make_stream(), b = make_stream();
  const Event event = make_event();
  check(cudaStreamBeginCapture(a.get(), cudaStreamCaptureModeThreadLocal), "begin");
  order(a.get(), b.get(), event);
  check(run(b.get(), grid, block, put, numbers.span, count), "put");
  cudaGraph_t graph = nullptr;
  return cudaStreamEndCapture(a.get(), &graph);
}
int allocation_while_capturing() {
  const Stream a = make_stream();
  check(cudaStreamBeginCapture(a.get(), cudaStreamCaptureModeThreadLocal), "begin");
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, 4);
  cudaGraph_t captured = nullptr;
  check(cudaStreamEndCapture(a.get(), &captured), "end");
  const Graph graph(captured);
  return error;
}
int allocation_beside_a_capture() {
  const Stream a = make_stream();
  check(cudaStreamBeginCapture(a.get(), cudaStreamCaptureModeThreadLocal), "begin");
  cudaError_t error = cudaErrorInvalidValue;
  std::thread([&error] {
    void* memory = nullptr;
    error = cudaMalloc(&memory, 4);
    if (error == cudaSuccess) error = cudaFree(memory);
  }).join();
  cudaGraph_t captured = nullptr;
  check(cudaStreamEndCapture(a.get(), &captured), "end");
  const Graph graph(captured);
  return error;
}
int unordered_branches_of_a_graph() {
  const Numbers from, to;
  const Stream a = make_stream(), b = make_stream();
  const Event fork = make_event(), joined = make_event();
  check(cudaStreamBeginCapture(a.get(), cudaStreamCaptureModeThreadLocal), "begin");
  order(a.get(), b.get(), fork);
  check(run(a.get(), grid, block, put, from.span, count), "put");
  check(run(b.get(), grid, block, take, from.span, to.span), "take");
  order(b.get(), a.get(), joined);
  cudaGraph_t captured = nullptr;
  check(cudaStreamEndCapture(a.get(), &captured), "end");
  const Graph graph(captured);
  cudaGraphExec_t made = nullptr;
  check(cudaGraphInstantiate(&made, graph.get(), 0), "instantiate");
  const ExecutableGraph executable(made);
  return cudaGraphLaunch(executable.get(), nullptr);
}
int destroyed_stream() {
  const Numbers numbers;
  cudaStream_t gone = nullptr;
  {
    const Stream a = make_stream();
    gone = a.get();
  }
  return run(gone, grid, block, put, numbers.span, count);
}

namespace {
int product(const float* a, const float* b, float* c, int size, int row_stride) {
  const Blas blas = make_blas();
  const float one = 1.0F, zero = 0.0F;
  return cublasGemmStridedBatchedEx(blas.get(), CUBLAS_OP_N, CUBLAS_OP_N, size, size, size, &one, a, CUDA_R_32F,
                                    row_stride, 0, b, CUDA_R_32F, row_stride, 0, &zero, c, CUDA_R_32F, row_stride, 0, 1,
                                    CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}
}  // namespace

int product_beyond_the_allocation() {
  const Numbers a, b, c;
  for (const Numbers* n : {&a, &b, &c}) check(run(nullptr, grid, block, put, n->span, count), "put");
  return product(a.span.data, b.span.data, c.span.data, 18, 18);  // 324 of 300 elements
}
int product_onto_its_operand() {
  const Numbers a, b;
  for (const Numbers* n : {&a, &b}) check(run(nullptr, grid, block, put, n->span, count), "put");
  return product(a.span.data, b.span.data, a.span.data, 10, 10);
}
int product_with_rows_that_overlap() {
  const Numbers a, b, c;
  return product(a.span.data, b.span.data, c.span.data, 10, 9);
}

namespace {

constexpr int threads = 64;

// What two blocks do, one thread of each with another one of the other.
enum class Together { share_without_a_barrier, read_unwritten, leave_the_span, miss_a_barrier, do_not_wait, wait };

__global__ void meet(DeviceSpan<float> numbers, DeviceSpan<unsigned> counters, Together what) {
  const SharedSpan<float> shared = shared_memory<float>(threads + 1);
  const int thread = static_cast<int>(threadIdx.x);
  const int other = thread == 0 ? 0 : thread - 1;
  if (what == Together::read_unwritten) numbers.store(column_of_thread(), shared.load(thread));
  if (what == Together::leave_the_span) shared.store(threads, 1.0F);
  if (what == Together::miss_a_barrier && thread > 0) synchronize_block();
  if (what == Together::share_without_a_barrier) {
    shared.store(thread, 1.0F);
    numbers.store(column_of_thread(), shared.load(other));
  }
  if (what != Together::do_not_wait && what != Together::wait) return;
  const BlockCounter arrivals{counters, 0};
  numbers.store(column_of_thread(), 1.0F);
  synchronize_block();
  if (thread == 0) {
    arrivals.arrive();
    if (what == Together::wait) arrivals.wait_for(2);
  }
  synchronize_block();
  shared.store(thread, load_of_other_block(numbers, (1 - static_cast<int>(blockIdx.x)) * threads + thread));
}

__global__ void clear(DeviceSpan<unsigned> counters) { counters.store(0, 0U); }

cudaError_t run_together(Together what, unsigned blocks, std::size_t shared_bytes = threads * sizeof(float),
                         int cooperative = 1) {
  const Numbers numbers;
  const DeviceMemory memory = allocate(sizeof(unsigned));
  const DeviceSpan<unsigned> counters{static_cast<unsigned*>(memory.get()), 1};
  check(run(nullptr, dim3(1), dim3(1), clear, counters), "clear");
  cudaLaunchAttribute together = {};
  together.id = cudaLaunchAttributeCooperative;
  together.val.cooperative = cooperative;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared_bytes;
  config.attrs = &together;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, meet, numbers.span, counters, what);
}

}  // namespace

int shared_memory_without_a_barrier() { return run_together(Together::share_without_a_barrier, 1); }
int shared_memory_never_written() { return run_together(Together::read_unwritten, 1); }
int shared_memory_beyond_the_launch() { return run_together(Together::leave_the_span, 1); }
int more_shared_memory_than_allowed() { return run_together(Together::wait, 2, std::size_t{49} << 10U); }
int barrier_that_some_never_reach() { return run_together(Together::miss_a_barrier, 1); }
int barrier_in_an_ordinary_launch() { return run_together(Together::wait, 2, threads * sizeof(float), 0); }
int more_blocks_than_run_at_once() { return run_together(Together::wait, 7); }
int blocks_that_do_not_wait() { return run_together(Together::do_not_wait, 2); }
int blocks_that_wait() { return run_together(Together::wait, 2); }

}  // namespace lstm_native::cuda::faults
