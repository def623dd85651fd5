"""More threads at once than BLAS has memory for: unlimited, it warns, then corrupts memory."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from calls import call_lstm
from shapes import Shape, make_case

case = make_case(Shape("many", 3, 4000, 8, 8), np.float32)


def run(_: int) -> bytes:
    return bytes(call_lstm(case, num_threads=64)[0])


with ThreadPoolExecutor(12) as pool:
    print(len(set(pool.map(run, range(12)))))
