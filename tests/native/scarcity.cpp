// Lets a process have no more threads, or no large memory, than it is told. Loaded before everything else, by
// LD_PRELOAD.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>

namespace {

std::atomic<int> threads_left{INT_MAX};
std::atomic<std::size_t> largest_map{SIZE_MAX};

struct Start {
  void* (*function)(void*);
  void* argument;
};

void* run(void* given) {
  const Start start = *static_cast<Start*>(given);
  delete static_cast<Start*>(given);
  void* result = start.function(start.argument);
  ++threads_left;
  return result;
}

}  // namespace

extern "C" {
// How many threads may live beside those that do.
void allow_threads(int more) { threads_left = more; }
// The size of a block that mmap() still gives.
void allow_maps(std::size_t bytes) { largest_map = bytes; }

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*), void* argument) {
  static const auto create = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  if (--threads_left < 0) {
    ++threads_left;
    return EAGAIN;
  }
  auto* start = new Start{function, argument};
  const int error = create(thread, attributes, &run, start);
  if (error != 0) {
    delete start;
    ++threads_left;
  }
  return error;
}

void* mmap(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  static const auto map = reinterpret_cast<decltype(&mmap)>(dlsym(RTLD_NEXT, "mmap"));
  if (bytes > largest_map) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return map(address, bytes, protection, flags, file, offset);
}
}
