"""The script of the times runs, but for PyTorch's part, and refuses what is wrong."""

import json

import pytest

from bench import gpu_check
from shapes import Shape

TINY = Shape("tiny", 3, 2, 4, 5, 2)
RAGGED = Shape("ragged", 6, 3, 4, 5, 1, True)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(gpu_check, "EVERY_SHAPE", (TINY, RAGGED))
    monkeypatch.setattr(gpu_check, "RAGGED_SHAPES", (RAGGED,))
    monkeypatch.setattr(gpu_check, "SECONDS_PER_ROUND", 0.0)


def test_it_prints_and_writes_its_tables(machine, tiny, capsys, tmp_path):
    gpu_check.main(["--without-torch", "--rounds=1", f"--files={tmp_path / 'times'}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CUDA: compiler")
    rows = [line for line in lines if line.startswith(("| 3,2,4/5 L2 |", "| 6,3,4/5 bi ragged |"))]
    assert [row.count("|") for row in rows] == [len(gpu_check.HEADER) + 1] * 4
    assert lines[-1] == "4 rows timed"
    content = json.loads((tmp_path / "times.json").read_text())
    assert [row["name"] for row in content["rows"]] == ["tiny", "tiny", "ragged", "ragged"]
    for row in content["rows"]:
        assert set(row["times"]["inference"]) == {"ours", "launches", "persistent"}
        assert row["times"]["inference"]["ours"]["total"] > 0
    assert all(row in (tmp_path / "times.md").read_text() for row in rows)


def test_it_refuses_wrong_results(machine, tiny, monkeypatch, capsys):
    """The other shapes are timed all the same."""
    right = gpu_check.difference
    monkeypatch.setattr(
        gpu_check, "difference", lambda got, x: 1e-3 if got.ndim == 2 else right(got, x)
    )
    with pytest.raises(SystemExit, match=r"wrong: 6,3,4/5 bi ragged by .* \(tf32=False\)$"):
        gpu_check.main(["--without-torch", "--rounds=1"])
    printed = capsys.readouterr().out
    assert "| 6,3,4/5 bi ragged | 1.0e-03 | - | wrong |" in printed
    assert "| 3,2,4/5 L2 |" in printed


def test_it_says_what_is_missing(machine):
    machine.set_devices(0)
    with pytest.raises(SystemExit, match="no CUDA device"):
        gpu_check.main([])
