"""ODBC in tests: who needs it, and how it is asked.

pyodbc, which loads the driver manager's library, is imported where it is used: a machine without that library
collects every test and skips those that need a driver.
"""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from local import debian, odbc
from sandbox.quickbooks_desktop import odbc_string


@functools.cache
def why_not() -> str:
    """Install the drivers where they are missing and that can be done; return why there are none, else nothing."""
    failed = "this is not Debian as root"
    if odbc.missing() and debian.can_install():
        try:
            debian.install(odbc.PACKAGES)
        except subprocess.CalledProcessError as error:
            failed = f"apt-get has failed with {error.returncode}"
    lacking = odbc.missing()
    return f"ODBC drivers {lacking} are missing, and {failed}: make install says how" if lacking else ""


def need_odbc() -> None:
    """Install the ODBC drivers where that can be done; else skip the test."""
    if why := why_not():
        pytest.skip(why)


def driver() -> Any:
    """Return pyodbc, its pooling off; skip the test where it, or a driver, is missing."""
    need_odbc()
    import pyodbc

    pyodbc.pooling = False
    return pyodbc


def ask(port: int, sql: str, *params: Any) -> list[Any]:
    """Ask a sandbox as anybody with pyodbc can: one statement on a connection of its own."""
    with closing(driver().connect(odbc_string(port), autocommit=True)) as connection:
        cursor = connection.cursor().execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def refused(call: Callable[[], object]) -> tuple[str, str]:
    """Return SQLSTATE and text with which a call is refused."""
    with pytest.raises(driver().Error) as raised:
        call()
    return str(raised.value.args[0]), str(raised.value.args[1])
