"""`tools/gpu_check.sh` from a bundle, with the emulated device, without a network.

The bundle is made as `make gpu-bundle` makes it, but for its wheels: these are made of what is
installed here, with the emulated module in the package's. The Python that runs it has NumPy and pip
besides its standard library, and nothing else.
"""

import base64
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
NOT_ON_AN_EMULATED_DEVICE = ("memcheck", "racecheck", "initcheck")


@pytest.fixture(scope="module")
def tools():
    """The modules of tools/ can be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROJECT / "tools"))
        yield


@pytest.fixture(scope="module")
def bundle(tools, tmp_path_factory, request):
    bundler = importlib.import_module("gpu_bundle")
    folder = tmp_path_factory.mktemp("bundle")
    wheels = folder / "wheels"
    wheels.mkdir()
    bundler.copy_sources(folder)
    module = Path(request.config.getoption("--cuda")).resolve()
    for name in with_requirements(bundler.TEST_PACKAGES):
        wheel_of_installed(name, wheels)
    wheel_of_installed("lstm_native", wheels, {f"lstm_native/{module.name}": module})
    return folder


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory):
    """A Python with NumPy and pip."""
    folder = tmp_path_factory.mktemp("python")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for package in ("numpy", "pip"):
        installed = Path(metadata.distribution(package).locate_file(""))
        for path in (*installed.glob(package), *installed.glob(f"{package}[.-]*")):
            (site / path.name).symlink_to(path)
    return folder / "bin" / "python"


def with_requirements(names):
    """The packages, and what they need of others here."""
    found = []
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.append(name)
        for requirement in metadata.requires(name) or ():
            needed = requirement.split(";")[0].strip()
            needed = "".join(c if c.isalnum() or c in "-_." else " " for c in needed).split()[0]
            try:
                metadata.version(needed)
            except metadata.PackageNotFoundError:
                continue  # for another system or version of Python, or an extra
            if "extra ==" not in requirement:
                waiting.append(needed)
    return found


def wheel_of_installed(name, folder, more=()):
    """Pack an installed distribution into a wheel again, with more files by their places in it."""
    distribution = metadata.distribution(name)
    left_out = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    files = {
        file.as_posix(): Path(file.locate())
        for file in distribution.files
        if file.parts[0] != ".." and file.suffix != ".pyc" and file.name not in left_out
    }
    files.update(more)
    (record_folder,) = {path.split("/")[0] for path in files if ".dist-info/" in path}
    lines = distribution.read_text("WHEEL").splitlines()
    tags = [line.split(": ")[1].split("-") for line in lines if line.startswith("Tag: ")]
    tag = "-".join(".".join(dict.fromkeys(kind)) for kind in zip(*tags, strict=True))
    target = folder / f"{record_folder.removesuffix('.dist-info')}-{tag}.whl"
    record = [f"{record_folder}/RECORD,,"]
    with zipfile.ZipFile(target, "w") as archive:
        for place, path in files.items():
            content = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            record.append(f"{place},sha256={digest.decode()},{len(content)}")
            archive.writestr(place, content)
        archive.writestr(f"{record_folder}/RECORD", "\n".join(record) + "\n")


def without_network(command):
    """The command with no network, and whether that is so: not every machine permits it."""
    isolated = ["unshare", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") is not None and (
        subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode == 0
    )
    return ([*isolated, *command], True) if allowed else (command, False)


def rehearse(bundle, python, folder, *arguments, **environment):
    command = [str(bundle / "tools" / "gpu_check.sh"), str(folder), *arguments]
    command, isolated = without_network(command)
    if not isolated:
        print("unshare --net is not permitted here: that no network is needed was not shown")
    clean = {"PATH": os.defpath, "HOME": str(folder.parent), "PYTHON": str(python), **environment}
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False)


def test_the_whole_check(bundle, clean_python, tmp_path):
    folder = tmp_path / "results"
    # All of tests/cuda runs beside this test anyhow.
    done = rehearse(bundle, clean_python, folder, "--tests", "tests/cuda/test_arrays.py")
    log = folder / "gpu_check.log"
    assert done.returncode == 0, done.stdout + done.stderr + log.read_text()
    content = json.loads((folder / "gpu_check.json").read_text())
    outcomes = {part["name"]: part["outcome"] for part in content["parts"]}
    assert list(outcomes) == [
        *("install", "environment", "smoke", "correctness"),
        *NOT_ON_AN_EMULATED_DEVICE,
        "times",
    ]
    for name, outcome in outcomes.items():
        assert outcome == ("not here" if name in NOT_ON_AN_EMULATED_DEVICE else "passed")
    for part in content["parts"]:
        if part["name"] in NOT_ON_AN_EMULATED_DEVICE:
            assert part["detail"] == "the device is emulated"
    assert content["environment"]["target"] == "emulated"
    assert str(bundle) not in content["environment"]["lstm_native"]
    # Times of an emulated device tell nothing, but the tables are there; cuDNN's are not here.
    rows = content["times"]["rows"]
    assert [row["tf32"] for row in rows] == [False, True]
    assert all("cuDNN" not in row["times"]["training"] for row in rows)
    assert all("ours" in row["times"]["training"] for row in rows)
    assert "without PyTorch" in content["times"]["about"]
    table = (folder / "gpu_check.md").read_text()
    assert "| racecheck | not here | 0.0 | the device is emulated |" in table
    assert table.count("| 1,1,64 |") == 2
    last_lines = done.stdout.splitlines()[-len(outcomes) :]
    assert [line.split()[0] for line in last_lines] == list(outcomes)


def test_a_part_without_a_test_fails(bundle, clean_python, tmp_path):
    """And the parts before it and behind it are there all the same."""
    arguments = ("--tests", "tests/cuda/test_arrays.py", "-k", "no_such_test")
    done = rehearse(bundle, clean_python, tmp_path / "results", *arguments)
    assert done.returncode == 1
    content = json.loads((tmp_path / "results" / "gpu_check.json").read_text())
    outcomes = {part["name"]: part["outcome"] for part in content["parts"]}
    assert outcomes["correctness"] == "failed"
    assert outcomes["smoke"] == outcomes["times"] == "passed"


def test_what_is_no_bundle_is_refused(clean_python, tmp_path):
    done = rehearse(PROJECT, clean_python, tmp_path / "results")
    assert done.returncode == 2
    assert "is not a bundle: `make gpu-bundle` makes one" in done.stderr
    done = rehearse(PROJECT, "no-such-python", tmp_path / "results")
    assert done.returncode == 2
    assert "no-such-python: not found; PYTHON=" in done.stderr


@pytest.mark.parametrize(
    ("code", "seconds", "outcome", "detail"),
    [
        ("print('3 calls made')", 60, "passed", "3 calls made"),
        ("print('0 calls made')", 60, "failed", "it did nothing: 0 calls made"),
        ("print('3 calls')", 60, "failed", r"nothing printed matches '(\d+) calls made'"),
        ("print('3 calls made'); exit(4)", 60, "failed", "exit status 4: 3 calls made"),
        ("import time; time.sleep(1000)", 1e-9, "timed out", "its limit was 0 s; last line: "),
        ("print('3 calls made')", 0, "not run", "all 345 s were used up"),
    ],
    ids=["passes", "does nothing", "prints nothing", "fails", "hangs", "comes too late"],
)
def test_how_a_part_is_judged(tools, tmp_path, code, seconds, outcome, detail):
    gpu_parts = importlib.import_module("gpu_parts")
    check = gpu_parts.Check(tmp_path, tmp_path)
    check.log.write_text("before\n")
    part = gpu_parts.Part("part", [sys.executable, "-c", code], 60, [r"(\d+) calls made"])
    result = gpu_parts.run(part, check, dict(os.environ), seconds)
    assert result.outcome == outcome
    assert result.detail.startswith(detail)
    assert check.log.read_text().startswith("before\n")
