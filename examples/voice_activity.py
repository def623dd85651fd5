"""Find the speech in a recording with a trained LSTM, computed by `lstm_native`.

The model is Silero VAD, read from the ONNX file inside the PyPI package `silero-vad`. Per frame of
32 ms it runs

    576 samples -> encoder (STFT and convolutions) -> LSTM -> ReLU, 1x1 convolution, sigmoid

and ends in one probability of speech. Here onnxruntime computes the encoder, an `lstm_native.Model`
the LSTM and NumPy the rest, chunk by chunk as in a live stream, with the LSTM's state carried over.
onnxruntime on the whole, uncut model is what the probabilities and times are compared with.

    pip install -r examples/requirements.txt
    pip install --no-deps -r examples/requirements-no-deps.txt
    python examples/voice_activity.py [AUDIO.wav] [--out PNG] [--threads N]

The first three functions below use the LSTM; the parts around it are in the folder `vad`. In
docstrings T is a number of frames, H the LSTM's hidden size.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cli.errors import InputError
from cli.packages import check_packages
from cli.pictures import check_folder
from vad import packages
from vad.audio import Recording, load_recording
from vad.frames import cut_frames
from vad.head import speech_probability
from vad.model import HIDDEN_SIZE, cut_graph, head_weights, load_model, model_path
from vad.options import parse_arguments
from vad.picture import draw
from vad.report import print_precision, print_recording, print_segments, print_times
from vad.runtime import onnxruntime_function, onnxruntime_step
from vad.segments import find_segments
from vad.signatures import Array, Function, Step
from vad.timing import TIMED_REPETITIONS, times_per_frame

if TYPE_CHECKING:
    from onnx import ModelProto

FRAMES_PER_CHUNK = 32
TIMED_FRAMES = 16 * FRAMES_PER_CHUNK
MAX_DIFFERENCE = 1e-5


def run_stream(step: Step, inputs: Array) -> Array:
    """Pass inputs (T, ...) through `step` in chunks and return all outputs (T, ...).

    The LSTM's state is carried from each chunk to the next.
    """
    h = c = np.zeros((1, 1, HIDDEN_SIZE), np.float32)
    outputs = []
    for first in range(0, len(inputs), FRAMES_PER_CHUNK):
        output, h, c = step(inputs[first : first + FRAMES_PER_CHUNK], h, c)
        outputs.append(output)
    return np.concatenate(outputs)


def lstm_step(threads: int, dtype: str = "float32") -> Step:
    """Return lstm_native's step: features (T, 1, H) to hidden states (T, 1, H).

    dtype: what the weights are stored in.
    """
    # Imported here, so that its absence can be reported.
    from lstm_native import load  # noqa: PLC0415

    model = load(model_path()).astype(dtype)

    def step(features: Array, h: Array, c: Array) -> Sequence[Array]:
        output, state = model(features, state=(h, c), num_threads=threads)
        return output, *state

    return step


def detector_step(
    model: ModelProto, encode: Function, threads: int, dtype: str = "float32"
) -> Step:
    """Return the step of the whole detector: frames (T, 576) to probabilities (T,)."""
    lstm = lstm_step(threads, dtype)
    weight, bias = head_weights(model)

    def step(frames: Array, h: Array, c: Array) -> Sequence[Array]:
        hidden, h, c = lstm(encode(frames), h, c)
        return speech_probability(hidden[:, 0], weight, bias), h, c

    return step


def detect(audio: Path, recording: Recording, out: Path, threads: int) -> int:
    """Detect the speech, compare with onnxruntime, print and draw; return the exit code."""
    frames = cut_frames(recording.samples)
    model = load_model()
    encoder_graph, lstm_graph = cut_graph(model)
    encode = onnxruntime_function(encoder_graph, threads)
    ours = partial(run_stream, detector_step(model, encode, threads))
    theirs = partial(run_stream, onnxruntime_step(model, threads))

    probabilities = ours(frames)
    difference = float(np.abs(probabilities - theirs(frames)).max())
    segments = find_segments(probabilities, len(recording.samples))
    print_recording(audio, recording, len(frames))
    print_segments(segments)
    print(f"\nLargest difference from onnxruntime's probabilities: {difference:.1e}")
    # Written so that a NaN fails, too.
    if not difference < MAX_DIFFERENCE:
        print(
            f"voice_activity: the probabilities differ by {difference:.1e}, "
            f"allowed is {MAX_DIFFERENCE:.0e}",
            file=sys.stderr,
        )
        return 1
    in_8_bits = run_stream(detector_step(model, encode, threads, "int8"), frames)
    print_precision(
        "int8",
        float(np.abs(in_8_bits - probabilities).max()),
        find_segments(in_8_bits, len(recording.samples)) == segments,
    )

    timed = frames[:TIMED_FRAMES]
    print(
        f"\nTime per frame, over {len(timed)} frames in chunks of {FRAMES_PER_CHUNK}, "
        f"threads: {threads}, best of {TIMED_REPETITIONS} interleaved runs"
    )
    detectors = {"onnxruntime": theirs, "onnxruntime's encoder + lstm_native + NumPy": ours}
    print_times("whole detector", times_per_frame(detectors, timed, threads))
    lstms = {
        "onnxruntime": partial(run_stream, onnxruntime_step(lstm_graph, threads)),
        "lstm_native": partial(run_stream, lstm_step(threads)),
        "lstm_native, weights in int8": partial(run_stream, lstm_step(threads, "int8")),
    }
    alone = times_per_frame(lstms, encode(timed), threads)
    print_times("LSTM alone, same features in", alone)
    draw(out, f"Voice activity in {audio.name}", recording.samples, probabilities, segments)
    print(f"\nPicture: {out}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; return 0, 1 for wrong probabilities or 2 for what cannot be worked with."""
    options = parse_arguments(arguments)
    try:
        recording = load_recording(options.audio)
        check_folder(options.out)
        check_packages(packages.REQUIRED_PACKAGES, packages.WHERE)
        return detect(options.audio, recording, options.out, options.threads)
    except InputError as error:
        print(f"voice_activity: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
