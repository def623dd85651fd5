"""Prints the default number of threads inside and behind a limit which holds at the import."""

import ctypes

import threadpoolctl

ctypes.CDLL("libgomp.so.1")  # so that there is a pool to limit
with threadpoolctl.threadpool_limits(1):
    import lstm_native

    lstm_native.set_num_threads(7)
    print(lstm_native.get_num_threads(), end=" ")
print(lstm_native.get_num_threads(), end=" ")
print(sum(pool["user_api"] == "openmp" for pool in threadpoolctl.threadpool_info()))
