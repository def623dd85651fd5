"""`python -m lstm_native`: commands, and what is none. tests/loaders has those with files."""

import subprocess
import sys

import pytest

from lstm_native._command_line import main

SIZES = f"expected an int from 1 to {2**63 - 1}"


def run(*arguments):
    """Run the program."""
    done = subprocess.run(
        [sys.executable, "-m", "lstm_native", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_info_is_what_no_command_prints():
    status, output, _ = run("info")
    assert (status, run()[1]) == (0, output)
    assert output.startswith("version:")


def test_help_lists_the_commands():
    status, output, _ = run("--help")
    assert status == 0
    for command in ("info", "inspect", "convert", "bench"):
        assert f"\n    {command} " in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["info", "--bogus"], "unrecognized arguments: --bogus"),
        (["bogus"], "invalid choice: 'bogus'"),
        (["inspect"], "the following arguments are required: FILE"),
        (["inspect", "a.pt", "--lstm", "b"], "unrecognized arguments: --lstm b"),
        (["convert", "a.pt"], "the following arguments are required: -o/--output"),
        (["convert", "a.pt", "-o", "b.onnx", "--dtype", "int3"], "invalid choice: 'int3'"),
        (["convert", "a.pt", "--outp", "b.onnx"], "required: -o/--output"),
        (["convert", "a.pt", "-o", "b.txt"], "-o/--output: OUT: expected a name that ends in .s"),
        (["convert", "a.pt", "-o", "none/b.onnx"], "got none/b.onnx: no such folder"),
        (["bench", "a.pt", "--steps", "0"], "argument --steps: expected an int from 1 to 9"),
        (["bench", "a.pt", "--steps", "9" * 23], f"argument --steps: {SIZES}, got {'9' * 23}"),
        (["bench", "a.pt", "--steps", "9" * 5000], f"--steps: {SIZES}, got {'9' * 40}..."),
        (["bench", "a.pt", "--batch", "x"], f"argument --batch: {SIZES}, got x"),
        (["bench", "a.pt", "--threads", "129"], "argument --threads: expected an int from 1 to 12"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    output, error = capsys.readouterr()
    assert (raised.value.code, output) == (2, "")
    assert message in error


def test_an_output_that_is_a_folder(tmp_path, capsys):
    folder = tmp_path / "a.onnx"
    folder.mkdir()
    with pytest.raises(SystemExit) as raised:
        main(["convert", "a.pt", "-o", str(folder)])
    assert raised.value.code == 2
    assert f"expected a file, got the folder {folder}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["inspect"], ["convert", "-o", "b.onnx"], ["bench"]])
def test_files_that_are_none(arguments, tmp_path, capsys):
    for name, message in (("a.pt", "no such file"), ("a.txt", "expected a name that ends in")):
        status = main([*arguments, str(tmp_path / name)])
        output, error = capsys.readouterr()
        assert (status, output) == (1, "")
        assert error.startswith(f"lstm_native: {tmp_path / name}: {message}")
