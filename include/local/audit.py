"""What `make lint` says of the dependencies: everything installed is pinned, all of it fits together, nothing is known
to be vulnerable.

The first two need no network. The last asks the database of open source vulnerabilities and is left out, with a word
about it, where `pip-audit` is not installed or the network does not reach it.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.airflow import REPOSITORY

OWN = frozenset({"iw-operators", "pip", "uv"})  # ourselves, and what installs the rest
DATABASE = ("api.osv.dev", 443)
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def normal(name: str) -> str:
    """Return a distribution's name as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """Return name -> version of a requirements file. Raises ValueError for a line that pins nothing."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if not entry or entry.startswith("--"):
            continue
        pin = PIN.match(entry)
        if pin is None or normal(pin["name"]) in found:
            msg = f"line {number} pins nothing, or what is pinned already: {entry}"
            raise ValueError(msg)
        found[normal(pin["name"])] = pin["version"]
    return found


def differences(pinned: Mapping[str, str], installed: Mapping[str, str]) -> Iterator[str]:
    """Yield where what is installed is not what is pinned."""
    for name in sorted(pinned.keys() | installed.keys()):
        if name in OWN:
            continue
        if name not in pinned:
            yield f"{name} {installed[name]} is installed and not pinned in requirements.txt"
        elif name not in installed:
            yield f"{name} {pinned[name]} is pinned and not installed"
        elif pinned[name] != installed[name]:
            yield f"{name} is pinned to {pinned[name]} and installed as {installed[name]}"


def unpinned(wanted: Mapping[str, str], pinned: Mapping[str, str]) -> Iterator[str]:
    """Yield what is asked for somewhere (name -> where) and pinned nowhere."""
    for name, where in sorted(wanted.items()):
        if normal(name) not in pinned and normal(name) not in OWN:
            yield f"{name} of {where} is not pinned in requirements.txt"


def wanted(root: Path) -> dict[str, str]:
    """Return what the package and the development ask for, with the file that does."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = [(line, "requirements.in") for line in (root / "requirements.in").read_text().splitlines()]
    lines += [(line, "pyproject.toml") for line in project["dependencies"]]
    return {found[0]: where for line, where in lines if (found := NAME.match(line.strip()))}


def main() -> int:
    """Check and print; return 1 if something is wrong."""
    installed = {normal(each.name): each.version for each in importlib.metadata.distributions()}
    pinned = pins((REPOSITORY / "requirements.txt").read_text())
    wrong = [*differences(pinned, installed), *unpinned(wanted(REPOSITORY), pinned)]
    for line in wrong:
        _say(line)
    _say(f"{len(pinned)} pinned distributions" + ("" if wrong else ", all of them installed as pinned"))
    uv = Path(sys.executable).with_name("uv")
    fits = _run(
        [str(uv), "pip", "check", "--python", sys.executable] if uv.exists() else [sys.executable, "-m", "pip", "check"]
    )
    return int(bool(wrong) or not fits or not _vulnerabilities())


def _vulnerabilities() -> bool:
    tool = shutil.which("pip-audit")
    if tool is None:
        _say("known vulnerabilities: not looked up, pip-audit is not installed")
        return True
    try:
        socket.create_connection(DATABASE, timeout=3).close()
    except OSError:
        _say(f"known vulnerabilities: not looked up, {DATABASE[0]} cannot be reached")
        return True
    requirements = str(REPOSITORY / "requirements.txt")
    return _run([tool, "--no-deps", "--disable-pip", "-s", "osv", "-r", requirements])


def _run(command: list[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603  our own command


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
