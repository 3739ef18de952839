"""How a write ended, from the record that Intuit shows, and the rows that a task remembers.

What is made here reads nothing and raises nothing of its own: the write is done, whatever its answer looks like.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final

import structlog

from iw_operators.engine.model import Value
from iw_operators.systems.base import Op, Outcome, Result, View, Write
from iw_operators.systems.quickbooks_online.codec import values_of, version_of
from iw_operators.systems.quickbooks_online.lists import Lists
from iw_operators.systems.quickbooks_online.reading import Row

log = structlog.get_logger(__name__)

KEPT: Final = 1000  # rows last read that are remembered, so that updating them needs no second reading


class Recent:
    """The rows last read, by object and id."""

    def __init__(self, size: int = KEPT) -> None:
        self._rows: OrderedDict[tuple[str, str], Row] = OrderedDict()
        self._size = size

    def keep(self, entity: str, rows: Collection[Row]) -> None:
        """Remember rows, forgetting the oldest."""
        for row in rows:
            self._rows[entity, row["Id"]] = row
            self._rows.move_to_end((entity, row["Id"]))
        while len(self._rows) > self._size:
            self._rows.popitem(last=False)

    def get(self, entity: str, ident: str | None, token: str) -> Row | None:
        """Return a row if it is remembered at this SyncToken."""
        row = self._rows.get((entity, ident or ""))
        return row if row is not None and str(row.get("SyncToken")) == token else None

    def drop(self, entity: str, ident: str | None) -> None:
        """Forget a row."""
        self._rows.pop((entity, ident or ""), None)


def applied(write: Write, row: Row, lists: Lists, recent: Recent) -> Outcome:
    """Return the outcome of a write after which the record is `row`, and remember that."""
    if write.op is Op.DELETE:
        return Outcome(write.key, Result.APPLIED, write.target_id)
    recent.keep(write.view.object, [row])
    return Outcome(write.key, Result.APPLIED, str(row["Id"]), version_of(row), _held(write.view, row, lists))


def _held(view: View, row: Row, lists: Lists) -> dict[str, Value]:
    """Return what the record now holds, without references whose text neither the row nor a list read before tells."""
    try:
        values = values_of(view, row, lists.loaded_text_of)
    except ValueError:
        log.warning("an answer cannot be read", object=view.object)
        return {}
    unread = [n for n, f in view.fields.items() if f.lookup and values[n] is None and row.get(f.native)]
    return {name: value for name, value in values.items() if name not in unread}
