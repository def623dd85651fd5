"""Reads a WAV file as mono samples at the model's rate."""

from __future__ import annotations

import math
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli.errors import InputError
from vad.frames import FRAME_SAMPLES, SAMPLE_RATE
from vad.signatures import Array

# Rates outside are typing errors or broken headers; resampling them would take all the memory.
LOWEST_RATE = 1_000
HIGHEST_RATE = 768_000


class Recording(NamedTuple):
    """Samples (S,) of one channel, float32 in [-1, 1), and what the file held before."""

    samples: Array
    channels: int
    rate: int


def load_recording(path: Path) -> Recording:
    """Read a WAV file of any rate and number of channels as mono at the model's rate."""
    recording = read_wav(path)
    samples = resample(recording.samples, recording.rate)
    if len(samples) < FRAME_SAMPLES:
        seconds = len(samples) / SAMPLE_RATE
        needed = FRAME_SAMPLES / SAMPLE_RATE
        raise InputError(f"{path}: too short: {seconds:.3f} s, at least {needed} s are needed")
    return recording._replace(samples=samples)


def read_wav(path: Path) -> Recording:
    """Read a WAV file of integer PCM samples at its own rate, its channels averaged."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            # Block by block, because a streamed file's header may claim any number of frames.
            data = b"".join(iter(lambda: file.readframes(1 << 16), b""))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (EOFError, RuntimeError):
        # What `wave` raises where a header leads behind the end of the file.
        raise InputError(f"{path}: not a WAV file, or cut off before its samples") from None
    except wave.Error as error:
        raise InputError(
            f"{path}: not a WAV file of integer PCM samples ({error}); "
            "to convert it: ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav"
        ) from None
    if width > 4:
        raise InputError(f"{path}: {8 * width}-bit samples; 8, 16, 24 and 32 bits are supported")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise InputError(
            f"{path}: a sample rate of {rate} Hz; {LOWEST_RATE} to {HIGHEST_RATE} are supported"
        )
    whole = len(data) - len(data) % (channels * width)
    if whole == 0:
        raise InputError(f"{path}: holds no samples")
    samples = pcm_to_float(data[:whole], width)
    return Recording(samples.reshape(-1, channels).mean(axis=1, dtype=np.float32), channels, rate)


def pcm_to_float(data: bytes, width: int) -> Array:
    """Convert little-endian PCM samples of `width` bytes to float32 (S,) in [-1, 1)."""
    if width == 1:
        # Unlike all wider ones, 8-bit samples are unsigned.
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    sample_bytes = np.frombuffer(data, np.uint8).reshape(-1, width)
    # In the upper bytes of 32 bits, samples of every width have the same sign bit and full scale.
    justified = np.zeros((len(sample_bytes), 4), np.uint8)
    justified[:, 4 - width :] = sample_bytes
    return (justified.view("<i4")[:, 0] / 2.0**31).astype(np.float32)


def resample(samples: Array, rate: int) -> Array:
    """Bring samples (S,) from `rate` to the model's rate."""
    if rate == SAMPLE_RATE:
        return samples
    # Imported here, because recordings at the model's rate need no SciPy.
    from scipy.signal import resample_poly  # noqa: PLC0415

    common = math.gcd(SAMPLE_RATE, rate)
    resampled: Array = resample_poly(samples, SAMPLE_RATE // common, rate // common)
    return resampled.astype(np.float32)
