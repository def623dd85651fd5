"""`python -m lstm_native`: commands, and what is none. tests/loaders has those with files."""

import subprocess
import sys

import pytest

from lstm_native._command_line import main


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
        (["bench", "a.pt", "--steps", "0"], "expected an int of at least 1, got 0"),
        (["bench", "a.pt", "--batch", "x"], "argument --batch: invalid _positive value: 'x'"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    output, error = capsys.readouterr()
    assert (raised.value.code, output) == (2, "")
    assert message in error


@pytest.mark.parametrize("arguments", [["inspect"], ["convert", "-o", "b.onnx"], ["bench"]])
def test_files_that_are_none(arguments, tmp_path, capsys):
    for name, message in (("a.pt", "no such file"), ("a.txt", "expected a name that ends in")):
        status = main([*arguments, str(tmp_path / name)])
        output, error = capsys.readouterr()
        assert (status, output) == (1, "")
        assert error.startswith(f"lstm_native: {tmp_path / name}: {message}")
