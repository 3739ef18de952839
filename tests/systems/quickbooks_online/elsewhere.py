"""What runs in a process of its own: signing in with a state that several processes share. Imports little."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

from iw_operators.systems.http import Request, Timeouts, transport_over
from iw_operators.systems.quickbooks_online.tokens import Credentials, SignIn, drive


class FileState:
    """A state in an SQLite file that several processes share."""

    def __init__(self, path: Path) -> None:
        self.database = sqlite3.connect(path, timeout=30, isolation_level=None)
        self.database.execute("CREATE TABLE IF NOT EXISTS state (value TEXT)")
        self.guard = sqlite3.connect(f"{path}.lock", timeout=30, isolation_level=None)

    def read(self) -> Mapping[str, str]:
        found = self.database.execute("SELECT value FROM state").fetchone()
        return dict(json.loads(found[0])) if found else {}

    def write(self, value: Mapping[str, str]) -> None:
        self.database.execute("BEGIN IMMEDIATE")
        self.database.execute("DELETE FROM state")
        self.database.execute("INSERT INTO state VALUES (?)", (json.dumps(dict(value)),))
        self.database.execute("COMMIT")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        self.guard.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            self.guard.execute("COMMIT")

    def close(self) -> None:
        self.database.close()
        self.guard.close()


def sign_in_elsewhere(url: str, path: str, realm: str, barrier: Any) -> None:
    """Wait for the others, sign in, ask once; exit with 1 unless it is answered."""
    state = FileState(Path(path))
    credentials = Credentials("iw-client", "iw-secret", "iw-refresh-0", f"{url}/oauth2/v1/tokens/bearer")
    ask = Request("GET", f"{url}/v3/company/{realm}/companyinfo/{realm}")
    with requests.Session() as session:
        barrier.wait(60)
        response = drive(SignIn(credentials, state).flow(ask), transport_over(session, Timeouts(5, 30), "Q"))
    state.close()
    if response.status != 200:
        raise SystemExit(1)
