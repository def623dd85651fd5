"""Everything that the README and the pages in docs/ tell people to run, run."""

import doctest
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_native
import lstm_native._explanation
import lstm_native._functional
import lstm_native._grad
import lstm_native._op
import lstm_native._random
import lstm_native._sessions
import lstm_native._stream
import lstm_native._vjp
from fresh_interpreter import ask

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted(PROJECT.glob("docs/*.md"))]
PAGES.append(PROJECT / "bench" / "README.md")
# Their programs and commands need other libraries: tests/loaders and tests/with_jax run them.
RUN_ELSEWHERE = {PROJECT / "docs" / name for name in ("models.md", "jax.md")}
RUN_HERE = [page for page in PAGES if page not in RUN_ELSEWHERE]
# Run by CI itself, or in need of an environment of their own: that the target exists is checked.
MAKE_ONLY = "make"
PROMPT = ">>> "


def python_blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", RUN_HERE, ids=lambda p: p.name)
def test_python_examples(page):
    result = doctest.testfile(str(page), module_relative=False)
    assert result.failed == 0
    assert (result.attempted > 0) == any(PROMPT in block for block in python_blocks(page))


@pytest.mark.parity
@pytest.mark.parametrize("page", RUN_HERE, ids=lambda p: p.name)
def test_programs_with_pytorch(page):
    """Blocks without a prompt are whole programs, for what not every environment has."""
    programs = [block for block in python_blocks(page) if PROMPT not in block]
    assert all("import torch" in program for program in programs)
    if programs:
        pytest.importorskip("torch", reason="PyTorch is not installed: make parity runs these")
    for program in programs:
        exec(compile(program, page.name, "exec"), {})


@pytest.mark.parity
def test_docstring_example_with_pytorch():
    pytest.importorskip("torch", reason="PyTorch is not installed: make parity runs these")
    result = doctest.testmod(importlib.import_module("lstm_native.torch"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    "module",
    [
        lstm_native._explanation,
        lstm_native._functional,
        lstm_native._grad,
        lstm_native._op,
        lstm_native._sessions,
        lstm_native._stream,
        lstm_native._vjp,
    ],
    ids=lambda module: module.__name__,
)
def test_docstring_examples(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def shell_commands(page):
    for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command = shlex.split(line, comments=True)
            if command:
                yield command


@pytest.mark.parametrize("page", RUN_HERE, ids=lambda p: p.name)
def test_shell_commands(page):
    rules = "".join(p.read_text() for p in (PROJECT / "Makefile", *PROJECT.glob("make/*.mk")))
    # `target: ...`, or for the targets that share a rule: `## target: help`.
    targets = set(re.findall(r"^(?:## )?([\w-]+):", rules, re.MULTILINE))
    for command in shell_commands(page):
        if command[0] == MAKE_ONLY:
            assert {word for word in command[1:] if "=" not in word} <= targets, command
        elif command[0] == "python":
            subprocess.run([sys.executable, *command[1:]], check=True, capture_output=True)
        else:
            assert command[:3] == ["pip", "install", "."], command
            defined = (PROJECT / "CMakeLists.txt").read_text() + "BLA_VENDOR"
            for option in command[3:]:
                assert option.startswith("--config-settings=cmake.define.")
                assert (
                    option.removeprefix("--config-settings=cmake.define.").split("=")[0] in defined
                )


def commands_of_pytest():
    text = (PROJECT / "CONTRIBUTING.md").read_text()
    return [
        shlex.split(line, comments=True)[3:]
        for line in re.findall(r"^\.venv-dev/bin/python -m pytest .*$", text, re.MULTILINE)
    ]


def test_recipes_for_pytest_select_tests():
    recipes = commands_of_pytest()
    assert len(recipes) >= 3
    code, output, error = ask("collect_tests.py", json.dumps(recipes))
    assert (code, json.loads(output)) == (0, [0] * len(recipes)), error


def test_a_recording_may_have_any_name():
    """The shell gets one word, whatever is in it."""
    # Without what a make that runs these tests passes on to others.
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        ["make", "--dry-run", "demo", "AUDIO=my cat's.wav"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (line,) = (line for line in done.stdout.splitlines() if "voice_activity.py" in line)
    assert shlex.split(line)[2:] == ["my cat's.wav"]


def test_the_readme_shows_both_commands():
    commands = list(shell_commands(PROJECT / "README.md"))
    assert ["make", "demo"] in commands
    assert ["make", "test"] in commands


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_exist(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "lstm_native"], check=True, capture_output=True, text=True
    )
    names = [line.split(":")[0] for line in done.stdout.splitlines()]
    expected = ["version", "compiler", "NumPy", "BLAS", "OpenMP"]
    assert names == [*expected, "ISA built", "ISA supported", "ISA in use", "threads", "subnormals"]
    assert lstm_native.__version__ in done.stdout
