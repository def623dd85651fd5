// Counts calls of malloc and its relatives, and lets glibc do the work. Loaded before everything else, by LD_PRELOAD.
#include <atomic>
#include <cstddef>

namespace {
std::atomic<long> calls{0};
}

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

long malloc_calls() { return calls; }

void* malloc(std::size_t bytes) {
  ++calls;
  return __libc_malloc(bytes);
}
void* calloc(std::size_t items, std::size_t bytes) {
  ++calls;
  return __libc_calloc(items, bytes);
}
void* realloc(void* block, std::size_t bytes) {
  ++calls;
  return __libc_realloc(block, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  ++calls;
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  ++calls;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) {
  ++calls;
  *block = __libc_memalign(alignment, bytes);
  return *block != nullptr ? 0 : 12;  // ENOMEM
}
}
