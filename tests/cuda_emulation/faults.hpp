// The faults of faults.cu, by name.
#pragma once

#define LSTM_NATIVE_CUDA_FAULTS(apply)                                                                                \
  apply(thread_beyond_the_span) apply(thread_beyond_the_allocation) apply(block_too_large) apply(grid_too_high)       \
      apply(empty_grid) apply(use_after_free) apply(host_pointer) apply(copy_from_a_host_pointer) apply(              \
          read_of_what_was_never_written) apply(unordered_read) apply(unordered_write) apply(ordered_by_an_event)     \
          apply(event_recorded_too_early) apply(freed_while_in_use) apply(threads_that_write_one_place)               \
              apply(threads_that_read_each_others) apply(branch_that_is_not_joined) apply(allocation_while_capturing) \
                  apply(allocation_beside_a_capture) apply(unordered_branches_of_a_graph) apply(destroyed_stream)     \
                      apply(product_beyond_the_allocation) apply(product_onto_its_operand)                            \
                          apply(product_with_rows_that_overlap) apply(shared_memory_without_a_barrier)                \
                              apply(shared_memory_never_written) apply(shared_memory_beyond_the_launch)               \
                                  apply(more_shared_memory_than_allowed) apply(barrier_that_some_never_reach)         \
                                      apply(barrier_in_an_ordinary_launch) apply(more_blocks_than_run_at_once)        \
                                          apply(blocks_that_do_not_wait) apply(blocks_that_wait)

namespace lstm_native::cuda::faults {

#define LSTM_NATIVE_DECLARE(name) int name();
LSTM_NATIVE_CUDA_FAULTS(LSTM_NATIVE_DECLARE)
#undef LSTM_NATIVE_DECLARE

}  // namespace lstm_native::cuda::faults
