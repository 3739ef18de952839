"""The ODBC drivers: `python -m local.odbc` installs them as root on Debian, and says what to do elsewhere.

psqlodbc is what workers reach a connector with; sqliteodbc is the second driver that the connector is tested with.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from local import debian

PACKAGES: Final = ("unixodbc", "odbc-postgresql", "libsqliteodbc")
DRIVERS: Final[Mapping[str, str]] = {"PostgreSQL Unicode": "odbc-postgresql", "SQLite3": "libsqliteodbc"}
WORDS: Final = """\
The ODBC drivers {missing} are not installed, and this is not Debian as root, so they were not installed here either.
Only QuickBooks Desktop needs them (company globex, its sandbox and tests; those are skipped). To install them:
  Debian, Ubuntu:  sudo apt-get install {packages}
  Fedora, RHEL:    sudo dnf install unixODBC postgresql-odbc sqliteodbc
  macOS:           brew install unixodbc psqlodbc sqliteodbc   (and name the drivers in odbcinst.ini)
Then: rm -f .venv/.odbc && make install"""


def missing() -> list[str]:
    """Return which drivers are not there."""
    try:
        import pyodbc
    except ImportError:  # the driver manager's library is not there
        return list(DRIVERS)
    known = set(pyodbc.drivers())
    return [name for name in DRIVERS if name not in known]


def main() -> int:
    """Install what is missing, where that can be done; return 0 unless it was tried and failed."""
    lacking = missing()
    if not lacking:
        return 0
    return debian.provide(PACKAGES, WORDS.format(missing=", ".join(lacking), packages=" ".join(PACKAGES)))


if __name__ == "__main__":
    sys.exit(main())
