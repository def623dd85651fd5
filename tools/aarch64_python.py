"""A Python for aarch64 to run under qemu-user: Debian's interpreter, and packages of PyPI.

Nothing is installed: Debian's packages are unpacked into a folder, by apt with lists of its own.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from cross import run

VERSION = "3.11"  # Debian 12's
# The interpreter, what it imports, and what the module is linked with.
DEBIAN = (
    *(f"python{VERSION}-minimal", f"libpython{VERSION}-minimal", f"libpython{VERSION}-stdlib"),
    *("zlib1g", "libexpat1", "libffi8", "libssl3", "libbz2-1.0", "liblzma5", "libsqlite3-0"),
    *("libc6", "libgcc-s1", "libstdc++6", "libgomp1", "libcrypt1", "libuuid1"),
)
PLATFORMS = tuple(f"manylinux{tag}_aarch64" for tag in ("2014", "_2_17", "_2_27", "_2_28"))


def download(folder: Path, *packages: str) -> None:
    """Unpack wheels of PyPI for aarch64, without what they depend on, into a folder."""
    wheels = folder / "wheels"
    chosen = (word for platform in PLATFORMS for word in ("--platform", platform))
    run(
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
        *("--no-deps", "--only-binary=:all:", "--python-version", VERSION, "--dest", wheels),
        *(*chosen, *packages),
    )
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)


def unpack_debian(folder: Path) -> Path:
    """Return a folder with Debian's packages for aarch64, below `folder`."""
    root, packages = folder / "root", folder / "packages"
    for made in (folder / "lists" / "partial", folder / "cache" / "archives" / "partial", packages):
        made.mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    places = ("State::lists=lists", "State::status=status", "Cache=cache")
    settings = (
        *("APT::Architecture=arm64", "APT::Architectures::=arm64"),
        *(f"Dir::{place.replace('=', f'={folder}/')}" for place in places),
    )
    apt = ("apt-get", "-qq", *(word for setting in settings for word in ("-o", setting)))
    run(*apt, "update")
    run("sh", "-c", 'cd "$0" && "$@"', packages, *apt, "download", *DEBIAN)
    for package in packages.glob("*.deb"):
        run("dpkg", "-x", package, root)
    return root


def interpreter(folder: Path, packages: Path, cpu: str) -> tuple[str | Path, ...]:
    """Return the command that is Python for aarch64, with `packages` to import from."""
    root = unpack_debian(folder)
    variables = (f"PYTHONHOME={root}/usr", f"PYTHONPATH={packages}")
    set_variables = (word for variable in variables for word in ("-E", variable))
    program = root / "usr" / "bin" / f"python{VERSION}"
    return ("qemu-aarch64", "-cpu", cpu, "-L", root, *set_variables, program)
