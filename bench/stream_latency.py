"""What one step of a stream takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.markdown import table
from bench.verdict import verdict

# What a step may cost beyond the kernel itself.
MOST_OVERHEAD_US = 3.0


@dataclass(frozen=True)
class StreamLatency:
    """The least times with one size and one number of threads, in microseconds."""

    hidden_size: int
    threads: int
    step: float
    step_into: float
    """``step`` with ``out=``."""

    run_step: float
    """``run`` over many steps, divided by their number: it reads W_ih once for all of them."""

    kernel: float
    """The same step repeated without returning to Python."""

    @property
    def overhead(self) -> float:
        """The larger one, with or without ``out=``."""
        return max(self.step, self.step_into) - self.kernel


def render_streams(streams: Sequence[StreamLatency]) -> str:
    header = ["H = I", "threads", "step", "step, out=", "run, per step", "kernel", "overhead", ""]
    rows = [
        [
            str(stream.hidden_size),
            str(stream.threads),
            *(
                _us(time)
                for time in (stream.step, stream.step_into, stream.run_step, stream.kernel)
            ),
            _us(stream.overhead),
            verdict(stream.overhead <= MOST_OVERHEAD_US),
        ]
        for stream in streams
    ]
    explanation = (
        "One sequence, float32. The overhead is what the slower kind of step takes beyond "
        f"the same step repeated inside the core: at most {MOST_OVERHEAD_US:g} us."
    )
    return f"{explanation}\n\n{table(header, rows, left=0)}"


def _us(time: float) -> str:
    return f"{time:.2f} us"
