"""Lists that lookups choose from: text to id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from iw_operators.spec.catalogue import LookupDef
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.paging import Row
from iw_operators.systems.creatio.query import Expand, Query, any_of, chunks, text
from iw_operators.systems.fitting import sendable

WHOLE: Final = 1_000  # a list that is shorter is read once, as a whole


@dataclass(slots=True)
class _List:
    ids: dict[str, str] = field(default_factory=dict)
    whole: bool = False
    asked: set[str] = field(default_factory=set)

    def take(self, lookup: LookupDef, rows: Iterable[Row]) -> None:
        """Put entries into the list; of equal texts the first counts."""
        for row in rows:
            self.ids.setdefault(_key(str(row.get(lookup.by) or "")), str(row.get(lookup.key)).lower())


class Lookups:
    """Resolves texts to ids, each list read once for the life of the object.

    Upper and lower case and blanks around a text do not count. Of equal texts in a list the first by id counts.
    A text of a list of 1,000 entries and more is found if Creatio's database finds it by equality.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lists: dict[LookupDef, _List] = {}

    def find(self, lookup: LookupDef, names: Collection[str]) -> Mapping[str, str]:
        """Return name -> id for those of the names that the list has, keys as given."""
        if not names:
            return {}
        known = self._lists.get(lookup)
        if known is None:
            known = self._lists[lookup] = self._read(lookup)
        keys = {name: _key(name) for name in names}
        missing = {name: key for name, key in keys.items() if key not in known.ids and key not in known.asked}
        if missing and not known.whole:
            self._ask(lookup, known, missing)
        return {name: known.ids[key] for name, key in keys.items() if key in known.ids}

    def _read(self, lookup: LookupDef) -> _List:
        rows = self._client.read(Query(lookup.set, _columns(lookup), order=(lookup.key,), top=WHOLE))["value"]
        found = _List(whole=len(rows) < WHOLE)
        found.take(lookup, rows)
        return found

    def _ask(self, lookup: LookupDef, known: _List, missing: Mapping[str, str]) -> None:
        queries = [
            Query(lookup.set, _columns(lookup), (any_of([f"{lookup.by} eq {text(name.strip())}" for name in some]),))
            for some in chunks(filter(sendable, missing))
        ]
        for answer in self._client.read_all(queries):
            known.take(lookup, sorted(answer["value"], key=lambda row: str(row.get(lookup.key))))
        known.asked.update(missing.values())


def _columns(lookup: LookupDef) -> Expand:
    return Expand(frozenset({lookup.key, lookup.by}))


def _key(name: str) -> str:
    return name.strip().casefold()
