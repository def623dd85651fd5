#include "common/float_control.hpp"

#include <atomic>

namespace lstm_native {
namespace {

std::atomic<bool> flush_subnormals{true};

}  // namespace

bool flushes_subnormals() { return flush_subnormals.load(std::memory_order_relaxed); }

void set_flush_subnormals(bool flush) { flush_subnormals.store(flush, std::memory_order_relaxed); }

}  // namespace lstm_native
