"""`python -m lstm_native`: what this build is, what a model file holds, conversion, timing."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lstm_native import _command_bench
from lstm_native._config import show_config
from lstm_native._explanation import explain, time_text
from lstm_native._loaders import _files
from lstm_native._loaders._found import Found
from lstm_native._model import Model, load, model_of

_DTYPES = ("float32", "float64", "float16", "bfloat16", "int8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0, or 1 for a file that can't be worked with."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"lstm_native: {error}", file=sys.stderr)
        return 1
    return 0


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
    convert.add_argument("-o", "--output", metavar="OUT", required=True, help=".safetensors, .onnx")
    convert.add_argument("--dtype", choices=_DTYPES, help="of the weights; default: as they are")
    bench = add("bench", _bench, "time a model here, beside onnxruntime where installed").file()
    bench.add_argument("--steps", type=_positive, default=100, help="of a run (default: 100)")
    bench.add_argument("--batch", type=_positive, default=1, help="sequences (default: 1)")
    bench.add_argument("--threads", type=_positive, help="default: as for calls")
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


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected an int of at least 1, got {text}")
    return number


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
    for line in _command_bench.report(case):
        print(line)
