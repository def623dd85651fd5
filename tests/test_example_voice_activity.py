"""The voice activity example: its parts, its refusals, and one run on the real model."""

import importlib.util
import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from example_scripts import imported

SCRIPT = Path(__file__).parents[1] / "examples" / "voice_activity.py"
FRAME = 512


@pytest.fixture(scope="module")
def example():
    """Return the script as a module; importing it needs NumPy only."""
    with imported(SCRIPT, "vad") as module:
        yield module


@pytest.fixture(scope="module")
def vad(example):
    """Return the package of the script's parts."""
    return sys.modules["vad"]


def write_wav(path, samples, width=2, rate=16_000):
    """Write integers (S, channels) as PCM of `width` bytes."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(
            b"".join(int(s).to_bytes(width, "little", signed=width > 1) for s in samples.flat)
        )
    return path


# --- Reading WAV files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "levels"),
    [
        (1, [0, 64, 128, 192, 255]),
        (2, [-(2**15), -(2**14), 0, 2**14, 2**15 - 1]),
        (3, [-(2**23), -(2**22), 0, 2**22, 2**23 - 1]),
        (4, [-(2**31), -(2**30), 0, 2**30, 2**31 - 1]),
    ],
)
def test_every_width_has_the_same_full_scale(vad, tmp_path, width, levels):
    path = write_wav(tmp_path / "a.wav", np.array(levels, object)[:, None], width)
    recording = vad.audio.read_wav(path)
    assert (recording.channels, recording.rate) == (1, 16_000)
    assert recording.samples.dtype == np.float32
    step = 2.0 ** (1 - 8 * width)
    expected = np.array([-1, -0.5, 0, 0.5, 1 - step], np.float32)
    np.testing.assert_array_equal(recording.samples, expected)


def test_stereo_is_averaged(vad, tmp_path):
    path = write_wav(tmp_path / "a.wav", np.array([[2**14, 0], [2**14, -(2**14)]]), rate=8_000)
    recording = vad.audio.read_wav(path)
    np.testing.assert_array_equal(recording.samples, np.array([0.25, 0], np.float32))
    assert (recording.channels, recording.rate) == (2, 8_000)


def test_file_cut_off_within_a_sample_keeps_the_whole_ones(vad, tmp_path):
    path = write_wav(tmp_path / "a.wav", np.full((100, 2), 2**14))
    path.write_bytes(path.read_bytes()[:-3])
    np.testing.assert_array_equal(vad.audio.read_wav(path).samples, np.full(99, 0.5, np.float32))


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_resampling_keeps_length_and_tone(vad, tmp_path, rate):
    pytest.importorskip("scipy", reason="the example resamples with SciPy")
    tone = np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate)
    path = write_wav(tmp_path / "a.wav", np.round(16_000 * tone).astype(int)[:, None], rate=rate)
    samples = vad.audio.load_recording(path).samples
    assert samples.dtype == np.float32
    assert abs(len(samples) - 8_000) <= 1
    middle = slice(1_000, 7_000)
    expected = 16_000 / 2**15 * np.sin(2 * np.pi * 440 * np.arange(len(samples)) / 16_000)
    np.testing.assert_allclose(samples[middle], expected[middle], atol=2e-3)


def test_bundled_recording_is_what_its_page_says(vad):
    recording = vad.audio.load_recording(vad.options.DEFAULT_RECORDING)
    assert (recording.channels, recording.rate) == (1, 16_000)
    assert len(recording.samples) / 16_000 == pytest.approx(17.63, abs=0.005)


# --- Frames --------------------------------------------------------------------------------------


def test_each_frame_starts_with_the_end_of_the_one_before(vad):
    frames = vad.frames.cut_frames(np.arange(1, 1_201, dtype=np.float32))
    assert frames.shape == (3, 576)
    assert frames.flags.c_contiguous
    assert not frames[0, :64].any()
    np.testing.assert_array_equal(frames[1:, :64], frames[:-1, -64:])
    np.testing.assert_array_equal(frames[:, 64:].ravel()[:1_200], np.arange(1, 1_201))
    assert not frames[:, 64:].ravel()[1_200:].any()


# --- Stream and head --------------------------------------------------------------------


def test_stream_carries_the_state_and_leaves_out_no_frame(example):
    def running_sum(inputs, h, c):
        sums = h[0, 0, 0] + np.cumsum(inputs)
        return sums, np.full_like(h, sums[-1]), c + len(inputs)

    inputs = np.arange(2 * example.FRAMES_PER_CHUNK + 5, dtype=np.float32)
    np.testing.assert_array_equal(example.run_stream(running_sum, inputs), np.cumsum(inputs))


def test_head_saturates_without_overflow(vad):
    hidden = np.array([[1, 0], [0, 1], [-1, -1], [0.5, 0]], np.float32)
    weight, bias = np.array([2_000, -2_000], np.float32), np.array([0], np.float32)
    weight[0] = 4
    probabilities = vad.head.speech_probability(hidden, weight, bias)
    assert probabilities.dtype == np.float32
    expected = [1 / (1 + np.exp(-4)), 0, 0.5, 1 / (1 + np.exp(-2))]
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6, atol=1e-7)


# --- Segments ------------------------------------------------------------------------------------


def frames_of(text):
    """Spell probabilities: S speech, m between the thresholds, . silence."""
    return np.array([{"S": 0.9, "m": 0.4, ".": 0.1}[letter] for letter in text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("....................", [], id="silence"),
        pytest.param("mmmmmmmmmmmmmmmmmmmm", [], id="never-above-the-upper-threshold"),
        pytest.param("SSSSSSSSSSSSSSSSSSSS", [(0, 20)], id="speech-to-the-end"),
        pytest.param("..SSSSSSSSSSS.......", [(2, 13)], id="one-segment"),
        pytest.param("..SSSSSSSS.......", [(2, 10)], id="just-long-enough"),
        pytest.param("..SSSSSSS.......", [], id="too-short"),
        pytest.param("..SSSSSSSS....SSSSSSSS..", [(2, 24)], id="pause-just-too-short"),
        pytest.param("..SSSSSSSS.....SSSSSSSS.....", [(2, 10), (15, 23)], id="pause-long-enough"),
        pytest.param("..SSSSSSSSmmmmmmmSSSSS.....", [(2, 22)], id="between-thresholds-goes-on"),
        pytest.param("..SSSSSSSS.mmmmm.....", [(2, 10)], id="pause-counts-from-its-first-frame"),
        pytest.param("..SSSSSSSS..S.......", [(2, 13)], id="speech-ends-a-pause"),
        pytest.param("..SSSSSSSS..", [(2, 12)], id="pause-unfinished-at-the-end"),
    ],
)
def test_segments(vad, text, expected):
    num_samples = len(text) * FRAME
    pad = 480
    padded = [(max(0, a * FRAME - pad), min(num_samples, b * FRAME + pad)) for a, b in expected]
    assert vad.segments.find_segments(frames_of(text), num_samples) == padded


def test_last_segment_ends_with_the_recording_and_not_with_its_last_frame(vad):
    assert vad.segments.find_segments(frames_of("S" * 10), 9 * FRAME + 7) == [(0, 9 * FRAME + 7)]


# --- Refusals ------------------------------------------------------------------------------------


def float_wav(path):
    """Turn a file of 32-bit integers into one that claims IEEE floats (format 3)."""
    data = bytearray(write_wav(path, np.zeros((1_000, 1), int), 4).read_bytes())
    data[20:22] = (3).to_bytes(2, "little")
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: None, "no such file", id="missing"),
        pytest.param(lambda path: path.mkdir(), "cannot be read", id="folder"),
        pytest.param(lambda path: path.write_bytes(b""), "not a WAV file", id="empty"),
        pytest.param(lambda path: path.write_text("hello " * 99), "not a WAV file", id="text"),
        pytest.param(lambda path: path.write_bytes(b"RIFF"), "not a WAV file", id="cut-header"),
        pytest.param(float_wav, "not a WAV file of integer PCM", id="floats"),
        pytest.param(
            lambda path: write_wav(path, np.zeros((0, 1), int)), "no samples", id="no-samples"
        ),
        pytest.param(
            lambda path: write_wav(path, np.zeros((511, 1), int)), "too short", id="too-short"
        ),
        pytest.param(
            lambda path: write_wav(path, np.zeros((999, 1), int), 2, 3), "3 Hz", id="absurd-rate"
        ),
    ],
)
def test_unusable_audio_is_refused_in_one_line(example, tmp_path, capsys, make, message):
    path = tmp_path / "a.wav"
    make(path)
    assert example.main([str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert str(path) in printed.err


def test_missing_folder_for_the_picture_is_refused_before_the_work(example, tmp_path, capsys):
    assert example.main(["--out", str(tmp_path / "none" / "a.png")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no such folder" in printed.err


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1000000"])
def test_wrong_thread_counts_are_refused(example, capsys, threads):
    with pytest.raises(SystemExit) as stop:
        example.main([f"--threads={threads}"])
    assert stop.value.code == 2
    assert "--threads" in capsys.readouterr().err


def test_missing_packages_are_named(example, vad, monkeypatch, capsys):
    monkeypatch.setattr(vad.packages, "REQUIRED_PACKAGES", ("numpy", "no_such_package"))
    assert example.main([]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("voice_activity: not installed: no_such_package;")


# --- The real model ------------------------------------------------------------------------------


def test_run_on_the_bundled_recording(tmp_path):
    for name in ("scipy", "matplotlib", "onnx", "onnxruntime"):
        pytest.importorskip(name, reason=f"the example needs {name}")
    # Importing silero_vad would need PyTorch; the example reads a file of it only.
    if importlib.util.find_spec("silero_vad") is None:
        pytest.skip("the example's model is in the package silero-vad")
    pytest.importorskip("lstm_native")
    picture = tmp_path / "picture.png"
    # In a process of its own, as a user runs it.
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(picture)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    seconds = [float(number) for number in re.findall(r"(\d+\.\d{3})(?= to| s\n)", run.stdout)]
    # As silero-vad 6.2.3 itself finds them; a frame more or less is a matter of rounding.
    expected = [0.226, 2.878, 3.234, 8.190, 8.546, 14.174, 14.594, 17.406]
    np.testing.assert_allclose(seconds, expected, atol=0.033)
    assert float(re.search(r"probabilities: (\S+)\n", run.stdout)[1]) < 1e-5
    in_int8 = r"in int8: the same segments, probabilities differ by at most (\S+)\n"
    assert float(re.search(in_int8, run.stdout)[1]) < 0.0125
    assert picture.read_bytes().startswith(b"\x89PNG")
