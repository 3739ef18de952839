"""Debian packages that the project's Python packages do not bring: installed as root on Debian, else words say how."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def can_install() -> bool:
    """Return whether this is Debian (or made of it), and we are root."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return root and shutil.which("apt-get") is not None and Path("/etc/debian_version").exists()


def install(packages: Sequence[str]) -> None:
    """Install packages. Raises CalledProcessError."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603, S607  our own words, apt-get of the PATH


def provide(packages: Sequence[str], words: str) -> int:
    """Install packages where that can be done, else print `words`; return 0 unless it was tried and failed."""
    if not can_install():
        print(words)  # noqa: T201  what programs call
        return 0
    names = " ".join(packages)
    print(f"Installing with apt-get: {names} ...")  # noqa: T201  as above
    try:
        install(packages)
    except subprocess.CalledProcessError as error:
        print(f"apt-get has failed with {error.returncode}; install by hand: {names}")  # noqa: T201  as above
        return 1
    return 0
