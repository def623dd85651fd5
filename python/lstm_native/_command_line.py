"""`python -m lstm_native`: what this build is, what a model file holds, conversion, timing."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lstm_native import _command_bench
from lstm_native._config import show_config
from lstm_native._explanation import explain, time_text
from lstm_native._extension import core
from lstm_native._loaders import _files
from lstm_native._loaders._found import ChoiceError, Found
from lstm_native._model import Model, check_target, load, model_of
from lstm_native._validate import LARGEST_SIZE

_MOST_SHOWN = 40
_DTYPES = ("float32", "float64", "float16", "bfloat16", "int8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status.

    0, 1 for a file that can't be worked with, 2 for wrong arguments.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except _ArgumentError as error:
        return _failed(error, 2)
    except ChoiceError as error:
        return _failed(error.for_option("--lstm"), 1)
    except MemoryError as error:
        return _failed(f"out of memory: {error}", 1)
    except (ImportError, OSError, TypeError, ValueError) as error:
        return _failed(error, 1)
    return 0


class _ArgumentError(Exception):
    """An argument that is wrong for this file or this machine."""


def _failed(error: object, status: int) -> int:
    print(f"lstm_native: {error}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lstm_native", description="A fast LSTM for CPUs.", allow_abbrev=False
    )
    parser.set_defaults(command=_info)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None], what: str) -> _Command:
        inner = commands.add_parser(name, help=what, description=what, allow_abbrev=False)
        inner.set_defaults(command=command)
        return _Command(inner)

    add("info", _info, "print what this build consists of (also without a command)")
    add("inspect", _inspect, "list the LSTMs of a model file, with their cost").file(choice=False)
    convert = add("convert", _convert, "write the LSTM of a model file into another file").file()
    convert.add_argument(
        "-o", "--output", metavar="OUT", required=True, type=_output, help=".safetensors, .onnx"
    )
    convert.add_argument("--dtype", choices=_DTYPES, help="of the weights; default: as they are")
    bench = add("bench", _bench, "time a model here, beside onnxruntime where installed").file()
    bench.add_argument("--steps", type=_positive, default=100, help="of a run (default: 100)")
    bench.add_argument("--batch", type=_positive, default=1, help="sequences (default: 1)")
    bench.add_argument("--threads", type=_threads, help="default: as for calls")
    return parser


@dataclass(frozen=True)
class _Command:
    parser: argparse.ArgumentParser

    def file(self, choice: bool = True) -> argparse.ArgumentParser:
        """Add the file, and what chooses one of its LSTMs."""
        self.parser.add_argument("file", metavar="FILE", help="a model file")
        if choice:
            self.parser.add_argument(
                "--lstm", metavar="NAME", help="which one: a name that `inspect` lists"
            )
        return self.parser


def _integer(text: str, high: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= high:
        shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
        raise argparse.ArgumentTypeError(f"expected an int from 1 to {high}, got {shown}")
    return number


def _positive(text: str) -> int:
    return _integer(text, LARGEST_SIZE)


def _threads(text: str) -> int:
    return _integer(text, core.most_threads())


def _output(text: str) -> Path:
    """Return where a file can be written to; its content is not known yet."""
    try:
        target = check_target(text, "OUT")
    except ValueError as reason:
        raise argparse.ArgumentTypeError(str(reason)) from reason
    if target.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file, got the folder {text}")
    if not target.parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in a folder, got {text}: no such folder")
    return target


def _info(options: argparse.Namespace) -> None:
    show_config()


def _inspect(options: argparse.Namespace) -> None:
    reader = _files.reader_of(_files.checked_path(options.file))
    found = reader.find()
    print(f"{options.file}: {len(found)} LSTM{'' if len(found) == 1 else 's'}")
    for one in found:
        print(f"  {reader.argument} {one.label!r}: {one.sizes}")
        print(f"    {_about(one)}")


def _about(found: Found) -> str:
    """Return the cost of a step, or why an LSTM can't be loaded."""
    try:
        model = model_of(found.read())
    except ValueError as reason:
        return f"can't be loaded: {reason}"
    cost = explain(
        seq_len=1,
        batch=1,
        input_size=model.input_size,
        hidden_size=model.hidden_size,
        num_layers=model.num_layers,
        bidirectional=model.bidirectional,
        dtype="float64" if model.dtype == np.float64 else "float32",
        weight_dtype=model.weight_dtype,
        compute=model.compute,
        cell=model.cell,
        direction=model.direction,
    )
    stored = model.weight_dtype or str(model.dtype)
    return (
        f"{stored}, {cost.weight_bytes / 1e6:.4g} MB of weights; a step of one sequence: "
        f"{cost.operations / 1e6:.4g} million operations, at least {time_text(cost.seconds)}"
    )


def _loaded(options: argparse.Namespace) -> Model:
    reader = _files.reader_of(_files.checked_path(options.file))
    return load(options.file, **{reader.argument: options.lstm})


def _convert(options: argparse.Namespace) -> None:
    model = _loaded(options)
    if options.dtype is not None:
        model = model.astype(options.dtype)
    model.save(options.output)
    print(f"{options.output}: {model!r}")


def _bench(options: argparse.Namespace) -> None:
    model = _loaded(options)
    print(model)
    case = _command_bench.Case(model, options.steps, options.batch, options.threads)
    try:
        for line in _command_bench.report(case):
            print(line)
    except MemoryError as reason:
        sizes = f"--steps {options.steps}, --batch {options.batch}"
        raise _ArgumentError(f"{sizes}: expected what fits into memory: {reason}") from reason
