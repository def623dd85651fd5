// Stands between the core (and NumPy) and the allocator: counts what they ask for, and fails where it is told to.
// Loaded before everything else, by LD_PRELOAD.
#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

extern "C" void* __libc_malloc(std::size_t);
extern "C" void* __libc_calloc(std::size_t, std::size_t);

namespace {

std::atomic<bool> watching{false};
std::atomic<long> seen{0};       // requests since poll()
std::atomic<long> failing{-1};   // the request that fails; -1: none
std::atomic<long long> live{0};  // bytes of the core that are not released yet
std::atomic<long long> most{0};  // the largest that `live` was since poll()

bool is_of(void* caller, const char* library) {
  Dl_info info;
  return dladdr(caller, &info) != 0 && info.dli_fname != nullptr && std::strstr(info.dli_fname, library) != nullptr;
}

// Whether this request fails.
bool count(void* caller, const char* library) { return watching && is_of(caller, library) && seen++ == failing; }

// In front of each block that operator new hands out.
struct alignas(64) Header {
  void* memory;
  long long bytes;
};

void* allocate(std::size_t bytes, std::size_t alignment, void* caller) {
  const bool of_core = is_of(caller, "/_core.");
  if (of_core && count(caller, "/_core.")) throw std::bad_alloc();
  if (alignment < alignof(Header)) alignment = alignof(Header);
  if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
  void* memory = std::aligned_alloc(alignment, (bytes + 2 * alignment - 1) / alignment * alignment + alignment);
  if (memory == nullptr) throw std::bad_alloc();
  auto* block = static_cast<std::byte*>(memory) + alignment;
  const auto counted = of_core ? static_cast<long long>(bytes) : 0;
  new (block - sizeof(Header)) Header{memory, counted};
  const long long now = live += counted;
  for (long long before = most; now > before && !most.compare_exchange_weak(before, now);) {
  }
  return block;
}

void release(void* block) {
  if (block == nullptr) return;
  const auto* header = reinterpret_cast<Header*>(static_cast<std::byte*>(block) - sizeof(Header));
  live -= header->bytes;
  std::free(header->memory);
}

}  // namespace

extern "C" {
void watch_allocations(long failing_request) {
  seen = 0;
  failing = failing_request;
  most = live.load();
  watching = true;
}
long allocations_seen() {
  watching = false;
  return seen;
}
long long bytes_live() { return live; }
long long most_bytes_live() { return most; }

void* malloc(std::size_t bytes) {
  if (count(__builtin_return_address(0), "_multiarray_umath")) return nullptr;
  return __libc_malloc(bytes);
}
void* calloc(std::size_t items, std::size_t bytes) {
  if (count(__builtin_return_address(0), "_multiarray_umath")) return nullptr;
  return __libc_calloc(items, bytes);
}
}

void* operator new(std::size_t bytes) { return allocate(bytes, 64, __builtin_return_address(0)); }
void* operator new[](std::size_t bytes) { return allocate(bytes, 64, __builtin_return_address(0)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void operator delete(void* block) noexcept { release(block); }
void operator delete[](void* block) noexcept { release(block); }
void operator delete(void* block, std::size_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t) noexcept { release(block); }
void operator delete(void* block, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::align_val_t) noexcept { release(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { release(block); }
void operator delete[](void* block, std::size_t, std::align_val_t) noexcept { release(block); }
