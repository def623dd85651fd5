"""Programs that end while calls run, or make some as they end."""

import pytest

from fresh_interpreter import ask

AT_EXIT = """if True:
    import threading, time
    import numpy as np, lstm_native
    def make(inputs, hidden):
        w = [np.full((4 * hidden, inputs), 0.01, "f"), np.full((4 * hidden, hidden), 0.01, "f")]
        return w + [np.zeros(4 * hidden, "f")] * 2
    def lstm(x, w, hidden, **options):
        s = np.ones((1, x.shape[1], hidden), "f")
        return lstm_native.lstm(x, (s, s), w, 1, 0.0, False, False, **options)
    def short():
        x, packed = np.ones((1, 1, 64), "f"), lstm_native.pack_weights(make(64, 64), 1, False)
        stream = lstm_native.Stream(packed, num_threads={threads})
        while True:
            stream.run(x)
            lstm(x, packed, 64, num_threads={threads})
    def long():
        x = np.broadcast_to(np.ones((1, 1, 64), "f"), (30_000, 1, 64))
        packed = lstm_native.pack_weights(make(64, 64), 1, False)
        while True:
            lstm(x, packed, 64, num_threads={threads})
    def by_blas():
        x, w = np.ones((40, 8, 8200), "f"), make(8200, 256)
        s = np.ones((1, 8, 256), "f")
        about = lstm_native.explain(x, (s, s), w, 1, 0.0, False, False)
        assert about.layers[0].input_weights == "blas", about
        while True:
            lstm(x, w, 256, num_threads={threads})
    def gradients():  # of few rows: by BLAS
        x, s, w = np.ones((1, 20, 2048), "f"), np.ones((1, 20, 512), "f"), make(2048, 512)
        outputs, pullback = lstm_native.lstm_vjp(
            x, (s, s), w, 1, 0.0, True, False, num_threads={threads})
        while True:
            pullback(*outputs, needs=["input"])
    for _ in range(2):
        threading.Thread(target={work}, daemon=True).start()
    time.sleep(0.3)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("work", ["short", "long", "by_blas", "gradients"])
def test_a_program_ends_while_daemon_threads_compute(work, threads):
    for _ in range(3):
        code, output, error = ask(AT_EXIT.format(work=work, threads=threads))
        assert (code, output, error) == (0, "", "")


# A call that takes long enough to ask for signals, when no Python code can run any more.
LONG_FINALIZER = """if True:
    import os
    import numpy as np, lstm_native
    w = [np.full(s, 0.1, "f") for s in [(256, 64), (256, 64), 256, 256]]
    class Last:
        def __init__(self):
            self.stream = lstm_native.Stream(lstm_native.pack_weights(w, 1, False), num_threads=1)
            self.x, self.out = np.ones((400_000, 1, 64), "f"), np.empty((400_000, 1, 64), "f")
            self.write = os.write
        def __del__(self):
            self.stream.run(self.x, out=self.out)
            self.write(1, b"done" if self.out[-1, 0, 0] > 0 else b"not")
    last = Last()
    last.itself = last
"""


def test_a_finalizer_calls_us_for_long():
    code, output, error = ask(LONG_FINALIZER)
    assert (code, output, error) == (0, "done", "")


FINALIZER = """if True:
    import os, threading
    import numpy as np, lstm_native
    w = [np.ones(s, "f") for s in [(256, 64), (256, 64), 256, 256]]
    class Last:
        def __init__(self):
            self.stream = lstm_native.Stream(lstm_native.pack_weights(w, 1, False), num_threads=2)
            self.x, self.write = np.ones((1, 64), "f"), os.write
            self.expected = self.stream.step(self.x).tobytes()
        def __del__(self):
            self.stream.reset()
            same = self.stream.step(self.x).tobytes() == self.expected
            self.write(1, b"same" if same else b"other")
    last = Last()
    last.itself = last
"""


def test_a_finalizer_calls_us_at_the_end():
    code, output, error = ask(FINALIZER)
    assert (code, output, error) == (0, "same", "")
