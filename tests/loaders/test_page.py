"""Everything that docs/models.md shows runs, in the order of the page and in one folder."""

import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "models.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.mark.parametrize("program", blocks("python"), ids=range(len(blocks("python"))))
def test_programs(program, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other libraries about themselves
        exec(compile(program, PAGE.name, "exec"), {"__name__": "__main__"})


def test_the_first_example_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"^```py\n(.*?)^```$", (PROJECT / "README.md").read_text(), re.M | re.S)
    module = torch.nn.ModuleDict({"encoder": torch.nn.ModuleDict({"lstm": torch.nn.LSTM(4, 8)})})
    safetensors.torch.save_file(module.state_dict(), "model.safetensors")
    names = {"x": np.ones((5, 2, 4), np.float32)}
    exec(compile(program, "README.md", "exec"), names)
    assert names["output"].shape == (5, 2, 8)
    assert names["stream"].step(names["x"][0, :1]).shape == (1, 8)


def test_commands(folder):
    commands = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) == 3
    for python, *arguments in commands:
        assert python == "python"
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=folder)
