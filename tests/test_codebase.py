"""Rules of the sources: what may include what, versions that agree, stubs that match the module."""

import ast
import dataclasses
import inspect
import os
import re
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

import lstm_native
from native_libraries import compile_with

PROJECT = Path(__file__).resolve().parents[1]
CSRC = PROJECT / "csrc"
PACKAGE = PROJECT / "python" / "lstm_native"
CPP_FILES = sorted(p for ext in ("cpp", "hpp", "inl", "cu", "cuh") for p in CSRC.rglob(f"*.{ext}"))

KERNEL_TEST = sorted((PROJECT / "tests" / "kernels").glob("*.cpp"))

# What both targets' bindings read of a call.
SHARED = '"bindings/description.hpp"'
# What each folder of csrc/ may include, besides itself.
MAY_INCLUDE = {
    "bindings": {"driver", "plan", "kernels", "blas", "rng", "common"},
    "cuda": {"plan", "rng", "common"},
    "driver": {"plan", "kernels", "blas", "rng", "common"},
    "plan": {"kernels", "common"},
    "kernels": {"common"},
    "blas": {"common"},
    "rng": {"common"},
    "common": set(),
}

# The Python layer: each module imports only from later rows.
PYTHON_LAYERS = [
    {"__main__", "__init__", "jax", "torch"},
    {"_command_line", "_torch", "_xla_call"},
    {"_command_bench"},
    {"_explanation", "_model"},
    {"_vjp", "_grad", "_sessions", "onnx"},
    {"_functional", "_op", "_stream"},
    {"_packing"},
    {"_config", "_loaders", "_random", "cuda"},
    {"_weights"},
    {"_backward", "_gate_order", "_reserve"},
    {"_validate", "_run"},
    {"_mask"},
    {"_memory", "_limits", "_cuda_run"},
    {"_sizes", "_arrays", "_extension", "_types"},
    {"_core", "_device", "_cell", "_argument_names"},
    {"_cuda_extension", "_messages"},
]


def cpp_files(folder):
    return [path for path in CPP_FILES if path.relative_to(CSRC).parts[0] == folder]


def includes(path):
    return re.findall(r'^\s*#include\s+([<"][^>"]+[>"])', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("folder", MAY_INCLUDE)
def test_includes_run_one_way(folder):
    for path in cpp_files(folder):
        for include in includes(path):
            if include.startswith('"') and (path.parent, include) != (
                CSRC / "cuda/bindings",
                SHARED,
            ):
                other = include.strip('"').split("/")[0]
                if folder == "cuda" and include.startswith('"kernels/generic/cells/'):
                    continue  # formulas, which know no instruction set
                allowed = {folder, *MAY_INCLUDE[folder]}
                assert other in allowed, f"{path} may not include {include}"


def test_every_folder_is_among_them():
    assert {path.relative_to(CSRC).parts[0] for path in CPP_FILES} == set(MAY_INCLUDE)


@pytest.mark.parametrize("folder", MAY_INCLUDE)
def test_only_one_folder_knows(folder):
    for path in cpp_files(folder):
        text = path.read_text()
        if "bindings" not in path.parts:
            assert not re.search("pybind11|py::", text), path
        if path.name != "team.hpp":
            assert not re.search(r"#pragma omp|omp\.h", text), path
        if folder != "kernels":
            assert not re.search(r"immintrin\.h|arm_neon\.h|\b_mm\d*_", text), path
        if folder != "cuda":
            assert not re.search(r"#include <cu|cublas|\bcuda\w*\(", text), path


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512", "neon"])
def test_isa_units_include_no_shared_inline_functions(isa):
    # The linker may keep any copy of an inline function that several units share: then an older
    # CPU would meet AVX-512 in it.
    allowed = {"<cstddef>", "<cstdint>", "<emmintrin.h>", "<immintrin.h>", "<arm_neon.h>"}
    allowed |= {'"kernels/kernel_table.hpp"', '"kernels/generic/unit.inl"'}
    assert set(includes(CSRC / "kernels" / isa / "kernels.cpp")) <= allowed
    for path in (CSRC / "kernels" / "generic").rglob("*.inl"):
        assert all("kernels/generic/" in include for include in includes(path))
    for shared in (
        *(CSRC / "kernels").glob("*_arguments.hpp"),
        CSRC / "kernels" / "kernel_table.hpp",
        CSRC / "common" / "types.hpp",
        CSRC / "common" / "cell_spec.hpp",
    ):
        assert not re.search(r"\)\s*(const\s*)?(noexcept\s*)?\{", shared.read_text())


def test_every_header_opens_with_its_role():
    for path in CPP_FILES:
        if path.suffix in (".hpp", ".inl", ".cuh"):
            folder = path.relative_to(CSRC).parts[0]
            assert re.match(rf"// {folder}(/\w+)*: ", path.read_text()), path


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lstm_native"):
            if node.module == "lstm_native":
                yield from (alias.name for alias in node.names)
            else:
                yield node.module.split(".")[1]
        assert not (isinstance(node, ast.ImportFrom) and node.level), "absolute imports only"


def test_imports_run_one_way():
    ranks = {module: rank for rank, row in enumerate(PYTHON_LAYERS) for module in row}
    for path in PACKAGE.glob("*.py"):
        for module in imported_modules(path):
            assert ranks[module] > ranks[path.stem], f"{path.stem} may not import {module}"
    for path in PACKAGE.glob("_*/*.py"):  # which may import each other
        folder = path.parent.name
        for module in set(imported_modules(path)) - {folder}:
            assert ranks[module] > ranks[folder], f"{path.stem} may not import {module}"


def test_private_modules_have_an_underscore():
    public = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")}
    assert public == {"cuda", "jax", "onnx", "torch"}


def test_versions_agree():
    declared = re.search(r'^version = "(.+)"$', (PROJECT / "pyproject.toml").read_text(), re.M)[1]
    assert lstm_native.__version__ == declared == metadata("lstm_native")["Version"]
    newest = re.search(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert newest == declared


def test_the_installed_package_is_this_checkout():
    installed = Path(lstm_native.__file__).parent
    for path in PACKAGE.rglob("*.py*"):
        if path.suffix != ".pyc":
            copy = installed / path.relative_to(PACKAGE)
            assert copy.read_text() == path.read_text(), "make test builds it anew"


@pytest.mark.thorough  # mypy takes seconds
def test_stubs_match_the_module():
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest", "lstm_native._core"),
            *("--allowlist", "data/stubtest_allowlist.txt"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT / "tests",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_lists_what_it_imports_when_asked():
    assert set(lstm_native.__all__) <= set(dir(lstm_native))


def test_every_public_name_has_a_docstring():
    for name in {*lstm_native.__all__} - {"__version__", "ArrayLike", "Weights"}:
        assert getattr(lstm_native, name).__doc__, name


def public_classes():
    values = [getattr(lstm_native, name) for name in lstm_native.__all__]
    return [value for value in values if isinstance(value, type)]


# The letters I and H, which every docstring explains by these names.
SIZES = {"input_size", "hidden_size"}


def members(cls):
    """Of a class, and of the core's class that it extends; no field that its repr() hides."""
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    names = {*dir(cls)} | {field.name for field in fields if field.repr}
    names -= {field.name for field in fields if not field.repr} | {*dir(BaseException)} | SIZES
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
def test_help_describes_every_member(cls):
    """In the class's docstring, or in the member's own: pybind11 by itself gives the signature."""
    sections = inspect.getdoc(cls).partition("-----")[2]
    for name in members(cls):
        own = getattr(getattr(cls, name, None), "__doc__", None) or ""
        described = len(own.splitlines()) > 1 if own.startswith(f"{name}(") else own
        listed = re.search(rf"^(\w+, )*{name}(, \w+)*( : |,?$)", sections, re.MULTILINE)
        assert described or listed, name


def test_help_of_get_config_lists_its_keys():
    config, text = lstm_native.get_config(), inspect.getdoc(lstm_native.get_config)
    keys = [*config, *config["blas"], *config["isa"]]
    assert not [key for key in keys if not re.search(rf"\b{key}\b", text.partition("----")[2])]


def test_no_source_is_forgotten_by_the_build():
    listed = (PROJECT / "CMakeLists.txt").read_text() + (PROJECT / "cmake/cuda.cmake").read_text()
    for path in (*CSRC.rglob("*.cpp"), *CSRC.rglob("*.cu")):
        relative = path.relative_to(PROJECT).as_posix()
        assert relative in listed or re.fullmatch(r"csrc/kernels/\w+/kernels.cpp", relative)


def test_what_each_make_target_needs_has_a_rule():
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    def make(*arguments):
        done = subprocess.run(
            ["make", *arguments],
            cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    targets = [line.split()[1] for line in make("help").splitlines()]
    assert {"test", "gpu-bundle", "wheels", "latency"} <= {*targets}
    make("--dry-run", *targets)


@pytest.mark.thorough  # compilers take seconds
@pytest.mark.parametrize("source", KERNEL_TEST, ids=lambda path: path.name)
def test_the_kernel_test_keeps_up(source):
    """`make aarch64` builds and runs it; here only that what it calls is still there."""
    compile_with("-fsyntax-only", f"-I{source.parent}", f"-I{CSRC}", str(source))
