"""Reading a set page by page while it changes, without I/O.

Pages are ordered by (stamp, Id) and continue from the last stamp, so that a row that is modified meanwhile only moves
on, past the upper bound, and shifts nothing. Whether `Id gt <guid>` follows the same order as `$orderby=Id` depends
on the database (SQL Server orders GUIDs by their last bytes), and stamps may be finer than what is written, therefore
neither `gt` on Ids nor `eq` on stamps is used. Instead the next page begins *at* the last stamp and skips the rows of
that stamp that were seen, less one: that one, the anchor, has to be the last row seen. If it is not, rows of this
stamp have left, and the rows of this stamp are read again from the first, the seen ones left out by Id.

A page that is shorter than asked for is the last one, unless the server says that there is more. Some do not: a
Creatio whose MaxEntityRowCount is lower than our page just cuts. The first page therefore asks for the count, and if
rows are missing, the pages are made as small as the server gives them.

Memory: one page and the Ids of the rows that share the last stamp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from iw_operators.errors import RetryLater
from iw_operators.systems.creatio.codec import KEY, dig, path_of
from iw_operators.systems.creatio.query import Query

Row = Mapping[str, Any]
RESTARTS: Final = 50


@dataclass(slots=True)
class Pages:
    """The state of one reading.

    :param base: set, columns (with Id and the stamp) and conditions.
    :param stamp: path of the stamp, `ModifiedOn` or `Contact/ModifiedOn`.
    :param size: rows of an answer, the anchor included.
    :param since: lower bound, inclusive, as Creatio writes stamps; None for none. Rows without a stamp are not read
        beyond the first page.
    :param until: upper bound, exclusive. Without one, a row that changes meanwhile comes again at its new place.
    """

    base: Query
    stamp: str
    since: str | None
    until: str | None
    size: int
    done: bool = False
    _from: str | None = None
    _anchor: str | None = None
    _count: int = 0
    _group: set[str] = field(default_factory=set)
    _restarts: int = 0
    _first: bool = True

    @property
    def _asked(self) -> int:
        return max(2, self.size)  # the anchor and one more

    def query(self) -> Query:
        """Return the next page's query."""
        # Both: a stamp that is written with fewer digits than it has may lie before `since`.
        bounds = [f"{self.stamp} ge {low}" for low in dict.fromkeys((self.since, self._from)) if low]
        bounds += [f"{self.stamp} lt {self.until}"] if self.until else []
        return replace(
            self.base,
            where=(*self.base.where, *bounds),
            order=(self.stamp, KEY),
            top=self._asked,
            skip=self._count - 1 if self._anchor else 0,
            count=self._first,
        )

    def take(self, answer: Mapping[str, Any]) -> list[Row]:
        """Take the answer to `query`; return the rows that are new, in order. Sets `done` after the last page."""
        rows: Sequence[Row] = answer["value"]
        more = "@odata.nextLink" in answer
        asked = self._asked
        if self._first:
            self._first = False
            if 0 < len(rows) < min(asked, answer.get("@odata.count", 0)):
                more = True
                self.size = len(rows)
        short = len(rows) < asked and not more
        if self._anchor:
            if not rows or self._id(rows[0]) != self._anchor:
                self._again()
                return []
            rows = rows[1:]
        fresh = [row for row in rows if self._stamp(row) != self._from or self._id(row) not in self._group]
        if rows:
            self._move(rows)
        elif not self._anchor:
            short = True
        self.done = short
        return fresh

    def _move(self, rows: Sequence[Row]) -> None:
        last = self._stamp(rows[-1])
        if last != self._from:
            self._from, self._count, self._restarts = last, 0, 0
            self._group.clear()
        same = [self._id(row) for row in rows if self._stamp(row) == last]
        self._group.update(same)
        self._count += len(same)
        self._anchor = same[-1]

    def _again(self) -> None:
        self._restarts += 1
        if self._restarts > RESTARTS:
            msg = f"The rows of {self.base.set} change faster than they can be read."
            raise RetryLater(msg, code="creatio.moving", advice="The run starts again at the same point.")
        self._anchor, self._count = None, 0

    def _stamp(self, row: Row) -> str:
        return str(dig(row, path_of(self.stamp)) or "")

    def _id(self, row: Row) -> str:
        return str(row[KEY]).lower()
