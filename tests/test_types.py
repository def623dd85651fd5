"""What type checkers say of a user's programs: mypy, and pyright where `make lint` installed it."""

import doctest
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
TYPED = PROJECT / "tests" / "typed"

pytestmark = pytest.mark.thorough  # type checkers take seconds


def mypy(program, folder):
    """With the package as it is installed."""
    options = ("--strict", "--warn-unreachable", "--cache-dir", folder / "cache")
    return [sys.executable, "-m", "mypy", "--config-file=", *options, program]


def pyright(program, folder):
    command = shutil.which("pyright", path=Path(sys.executable).parent)
    if command is None:
        pytest.skip("pyright is not installed: make lint does it")
    settings = {
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": True,
        "reportUnusedExpression": False,  # what an example shows
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    return [command, "--project", folder, "--pythonpath", sys.executable]


every_checker = pytest.mark.parametrize("checker", [mypy, pyright])


def assert_accepted(checker, text, folder):
    program = folder / "program.py"
    program.write_text(text)
    done = subprocess.run(
        checker(program, folder), capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_typed_program_runs(capsys):
    runpy.run_path(str(TYPED / "user.py"), run_name="__main__")
    assert capsys.readouterr().out


@every_checker
def test_a_typed_program_is_accepted(checker, tmp_path):
    assert_accepted(checker, (TYPED / "user.py").read_text(), tmp_path)


@every_checker
def test_wrong_calls_are_refused(checker, tmp_path):
    text = (TYPED / "wrong.py").read_text()
    assert text.count("# type: ignore") >= 30
    assert_accepted(checker, text, tmp_path)  # an ignore without an error would be one


@every_checker
def test_examples_of_the_readme_are_accepted(checker, tmp_path):
    examples = doctest.script_from_examples((PROJECT / "README.md").read_text())
    assert "pullback(" in examples
    assert_accepted(checker, examples, tmp_path)
