"""What `make` runs for benchmarks answers --help, and the README knows which end with status 1."""

import importlib
import re
import sys

import pytest

from bench import ROOT

RULES = "".join(path.read_text() for path in (ROOT / "Makefile", *sorted(ROOT.glob("make/*.mk"))))
README = (ROOT / "bench" / "README.md").read_text()
TARGETS = re.findall(r"^BENCHMARKS := (.*)$", RULES, re.MULTILINE)[0].split()
NAMED = set(re.findall(r"-m bench\.measure\.(\w+)", RULES))
MODULES = sorted({target.replace("-", "_") for target in TARGETS} | NAMED)


def source(module):
    return (ROOT / "bench" / "measure" / f"{module}.py").read_text()


def program_of(module):
    """Its function main, where the libraries that it measures are installed."""
    try:
        return importlib.import_module(module).main
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] in ("bench", "lstm_native", "shapes"):
            raise
        pytest.skip(f"{error.name} is not installed: --help needs it")


@pytest.mark.parametrize("module", [*(f"bench.measure.{name}" for name in MODULES), "bench.run"])
def test_help_comes_before_any_measuring(module, monkeypatch, capsys):
    if module != "bench.run":
        # Otherwise the call below would measure for minutes.
        assert ".parse_args()" in source(module.rpartition(".")[2])
    main = program_of(module)
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage:")


def test_the_readme_lists_the_benchmarks_that_judge():
    """A main that returns an int ends with exit status 1 where a bound is missed."""
    judging = {
        target for target in TARGETS if "def main() -> int:" in source(target.replace("-", "_"))
    }
    paragraph = next(part for part in README.split("\n\n") if part.startswith("A missed bound"))
    listed = set(re.findall(r"`make ([\w-]+)`", paragraph.partition("`make bench`")[0]))
    assert listed == judging


@pytest.mark.parametrize("target", [*TARGETS, "serving"])
def test_the_readme_lists_every_benchmark(target):
    assert f"| `make {target}` |" in README
