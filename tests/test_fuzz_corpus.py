"""The calls that fuzzing kept, and those that once went wrong, do what they must."""

from pathlib import Path

import pytest

from fuzz.call import SURFACES, run

CORPUS = Path(__file__).resolve().parents[1] / "fuzz" / "corpus"
FILES = sorted(CORPUS.iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_kept_call(file):
    run(file.read_bytes())


def test_every_surface_is_among_them():
    assert {file.read_bytes()[0] % len(SURFACES) for file in FILES} == set(range(len(SURFACES)))


def test_no_bytes_at_all():
    run(b"")
