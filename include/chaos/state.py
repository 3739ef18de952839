"""Where the workers keep tokens and sessions: a file instead of an Airflow variable, under the same ledger locks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from iw_operators.ledger.store import Ledger
from iw_operators.systems.base import AbstractLock

FOLDER = "IW_CHAOS_STATE"  # the environment variable that names the folder


class FileSecretState:
    """As `iw_operators.state.AirflowSecretState`, for processes without an Airflow beside them."""

    def __init__(self, key: str, ledger: Ledger) -> None:
        self._key = key
        self._ledger = ledger
        self._file = Path(os.environ[FOLDER]) / (re.sub(r"[^\w.-]", "_", key) + ".json")

    def read(self) -> Mapping[str, str]:
        """Return what is kept; empty when there is nothing."""
        try:
            found = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        return {str(name): str(value) for name, value in found.items()}

    def write(self, value: Mapping[str, str]) -> None:
        """Replace what is kept, atomically."""
        fresh = self._file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(dict(value)))
        fresh.replace(self._file)

    def lock(self) -> AbstractLock:
        """Return a context manager that holds the one writer's lock."""
        return self._ledger.lock(f"state:{self._key}")
