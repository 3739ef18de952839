"""The browser of the end-to-end tests: `python -m local.chromium` installs it as root on Debian, else says how to."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

from local import debian

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
    return 0 if program() else debian.provide((PACKAGE,), WORDS)


if __name__ == "__main__":
    sys.exit(main())
