"""The script for a real device runs, but for PyTorch's part, and refuses what is wrong."""

import pytest

from bench import gpu_check
from shapes import Shape

TINY = Shape("tiny", 3, 2, 4, 5, 2)


def test_it_prints_its_table(machine, monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "shapes_by_name", lambda: {"tiny": TINY})
    monkeypatch.setattr(gpu_check, "SECONDS_PER_ROUND", 0.0)
    gpu_check.main(["--without-torch", "--without-tests", "--rounds=1", "--shapes", "tiny"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CUDA: compiler")
    assert lines[1].count("|") == lines[3].count("|") == len(gpu_check.HEADER) + 1
    assert lines[3].startswith("| 3,2,4/5 L2 |")


def test_it_refuses_wrong_results(machine, monkeypatch):
    monkeypatch.setattr(gpu_check, "difference", lambda *_: 1e-3)
    with pytest.raises(SystemExit, match=r"wrong by 0\.001"):
        gpu_check.row_of(TINY, None, 1)


def test_it_says_what_is_missing(machine):
    machine.set_devices(0)
    with pytest.raises(SystemExit, match="no CUDA device"):
        gpu_check.main([])
