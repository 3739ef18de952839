"""What the page works with: the specs as they stand in the mappings' folder, and the ledger. One of each a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from iw_operators import settings
from iw_operators.spec.errors import SpecError
from iw_operators.spec.loader import load_company
from iw_operators.spec.resolved import CompanySpec

if TYPE_CHECKING:
    from iw_operators.ledger.store import Ledger

LOOK_AGAIN = 2.0  # seconds between two looks at the folder

Marks = tuple[tuple[str, int, int], ...]  # of each file: name, time of its last change, size


@dataclass(frozen=True, slots=True)
class Loaded:
    """A company's folder as it was read last. `spec` is None where `errors` leave nothing of it."""

    name: str
    spec: CompanySpec | None
    errors: tuple[SpecError, ...]
    marks: Marks

    @property
    def zone(self) -> ZoneInfo:
        """The company's time zone."""
        return ZoneInfo(self.spec.company.time_zone if self.spec else "UTC")


class Specs:
    """The companies below a folder, each read again only when one of its files has changed. For several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._loaded: dict[str, Loaded] = {}
        self._looked = float("-inf")

    def companies(self) -> Mapping[str, Loaded]:
        """Return the companies by name, sorted, those with errors too."""
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_AGAIN:
                self._look()
                self._looked = time.monotonic()
            return dict(self._loaded)

    def _look(self) -> None:
        folders = sorted(self.root.iterdir()) if self.root.is_dir() else []
        found: dict[str, Loaded] = {}
        for folder in folders:
            if not folder.is_dir() or folder.name.startswith((".", "_")):
                continue
            marks = _marks(folder)
            known = self._loaded.get(folder.name)
            if known is None or known.marks != marks:
                spec, errors = load_company(folder)
                known = Loaded(folder.name, spec, tuple(errors), marks)
            found[folder.name] = known
        self._loaded = found


def _marks(folder: Path) -> Marks:
    files = (entry for entry in sorted(folder.iterdir()) if entry.is_file())
    return tuple((entry.name, (stat := entry.stat()).st_mtime_ns, stat.st_size) for entry in files)


_lock = threading.Lock()
_specs: Specs | None = None
_ledgers: dict[str, Ledger] = {}


def specs() -> Specs:
    """Return the specs of the configured folder."""
    global _specs  # noqa: PLW0603  one a process, made when it is first wanted
    root = settings.mappings_folder()
    with _lock:
        if _specs is None or _specs.root != root:
            _specs = Specs(root)
        return _specs


def ledger() -> Ledger:
    """Return the ledger, opened once a process. Raises what `open_ledger` raises; the next call then tries again."""
    from iw_operators.ledger.connect import open_ledger

    conn_id = settings.ledger_conn_id()
    with _lock:
        if conn_id not in _ledgers:
            _ledgers[conn_id] = open_ledger(conn_id)
        return _ledgers[conn_id]


def close() -> None:
    """Forget the specs and close the ledger; the next call opens it anew."""
    global _specs  # noqa: PLW0603  as in `specs`
    with _lock:
        for each in _ledgers.values():
            each.close()
        _ledgers.clear()
        _specs = None
