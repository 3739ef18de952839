"""Lists that lookups choose from: text to id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from iw_operators.spec.catalogue import LookupDef
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.query import Expand, Query, any_of, chunks, text
from iw_operators.systems.fitting import sendable

WHOLE: Final = 1_000  # a list that is shorter is read once, as a whole


@dataclass(slots=True)
class _List:
    ids: dict[str, str] = field(default_factory=dict)
    whole: bool = False
    asked: set[str] = field(default_factory=set)


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
        columns = Expand(frozenset({lookup.key, lookup.by}))
        rows = self._client.read(Query(lookup.set, columns, order=(lookup.key,), top=WHOLE))["value"]
        found = _List(whole=len(rows) < WHOLE)
        for row in rows:
            found.ids.setdefault(_key(str(row.get(lookup.by) or "")), str(row.get(lookup.key)).lower())
        return found

    def _ask(self, lookup: LookupDef, known: _List, missing: Mapping[str, str]) -> None:
        columns = Expand(frozenset({lookup.key, lookup.by}))
        queries = [
            Query(lookup.set, columns, (any_of([f"{lookup.by} eq {text(name.strip())}" for name in some]),))
            for some in chunks(filter(sendable, missing))
        ]
        for answer in self._client.read_all(queries):
            for row in sorted(answer["value"], key=lambda row: str(row.get(lookup.key))):
                known.ids.setdefault(_key(str(row.get(lookup.by) or "")), str(row.get(lookup.key)).lower())
        known.asked.update(missing.values())


def _key(name: str) -> str:
    return name.strip().casefold()
