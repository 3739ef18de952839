"""The browser of the end-to-end tests: `python -m local.chromium` installs it as root on Debian, else says how to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

from local.odbc import can_install

PACKAGE: Final = "chromium"
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WORDS: Final = """\
There is no Chromium on the PATH, and this is not Debian as root, so it was not installed here either.
Only the tests of the Integration Manager page in a browser need it; they are skipped. To install it:
  Debian:   sudo apt-get install chromium
  Fedora:   sudo dnf install chromium
  macOS:    brew install --cask chromium
or name the program of any browser made of it in IW_CHROMIUM. Then: rm -f .venv/.chromium && make test-e2e"""


def program() -> str | None:
    """Return the browser's program: the one that `IW_CHROMIUM` names, or the first on the PATH; None without one."""
    return os.environ.get("IW_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def main() -> int:
    """Install the browser where it is missing and that can be done; return 0 unless it was tried and failed."""
    if program():
        return 0
    if not can_install():
        print(WORDS)  # noqa: T201  a program
        return 0
    print(f"Installing the Debian package {PACKAGE} ...")  # noqa: T201  as above
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", PACKAGE]):
        command = ["apt-get", *arguments]
        done = subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)  # noqa: S603  our own words
        if done.returncode:
            print(f"apt-get has failed with {done.returncode}; install {PACKAGE} by hand")  # noqa: T201  as above
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
