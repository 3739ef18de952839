"""Values that a person gave for a record that failed: used when it is planned next, dropped when it has gone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Values
from iw_operators.errors import FixRecord
from iw_operators.ledger.bulk import insert_rows
from iw_operators.ledger.codec import decode_values, encode_values, storable
from iw_operators.ledger.database import Database, among
from iw_operators.ledger.deeds import add_deed
from iw_operators.ledger.flow_tables import correction, failure
from iw_operators.spec.resolved import Side

_c = correction.c
_f = failure.c

NOT_FAILED = "iw.not_failed"


@dataclass(frozen=True, slots=True)
class Correction:
    """Values of one record of the source, by field, as a person gave them.

    :param seen: a digest of what the source held then in each corrected field, as far as it is known.
    """

    values: Values
    by: str
    at: dt.datetime
    seen: Mapping[str, str] = field(default_factory=dict)


class Corrections(Database):
    """The ledger's corrections. There is none for a record that has not failed, or that has gone since."""

    def has_corrections(self, company: str, mapping: str, side: Side) -> bool:
        """Tell whether a mapping has corrections of records of `side`."""
        query = sa.select(sa.exists().where(_c.company == company, _c.mapping == mapping, _c.side == side))
        return bool(self._read(lambda c: c.scalar(query)))

    def corrections(self, company: str, mapping: str, side: Side, ids: Sequence[str]) -> dict[str, Correction]:
        """Return the corrections of those of the records that have one."""
        if not ids:
            return {}
        here = (_c.company == company, _c.mapping == mapping, _c.side == side, among(_c.source_id, ids))
        query = sa.select(_c.source_id, _c["values"], _c.by, _c.at, _c.seen).where(*here)
        rows = self._read(lambda c: c.execute(query).all())
        return {row[0]: Correction(decode_values(row[1]), row.by, row.at, row.seen or {}) for row in rows}

    def correct(
        self,
        company: str,
        mapping: str,
        side: Side,
        values: Mapping[str, Values],
        *,
        by: str,
        seen: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Keep corrections of failed records, all of them or none.

        What is given takes the place of an earlier correction of the record; nothing given takes that away. A record
        that was given up is open again.

        :param values: source id -> field -> value, in the type that the source has.
        :param seen: source id -> field -> a digest of what the source holds in its place, which the person has seen.
        :raises FixRecord: records are not open, or have gone meanwhile; the message names some.
        """
        ids = sorted(values)
        rows: list[dict[str, Any]] = [
            {
                "company": company,
                "mapping": mapping,
                "side": side,
                "source_id": each,
                "values": encode_values(values[each]),
                "seen": dict((seen or {}).get(each, {})),
                "by": storable(by),
            }
            for each in ids
            if values[each]
        ]

        def work(connection: Connection) -> None:
            here = (_f.company == company, _f.mapping == mapping, _f.side == side, among(_f.source_id, ids))
            query = sa.select(_f.source_id).where(*here, _f.state.in_(("open", "given up")))
            there = set(connection.scalars(query.order_by(_f.source_id).with_for_update()))
            if absent := [each for each in ids if each not in there]:
                msg = f"{len(absent)} records are not among those that failed: {', '.join(absent[:5])}."
                raise FixRecord(msg, code=NOT_FAILED, advice="Export the failed records again, and correct those.")
            drop_corrections(connection, company, mapping, side, ids)
            if not rows:
                return
            connection.execute(insert_rows(correction, rows))
            given = [row["source_id"] for row in rows]
            again = sa.update(failure).where(*here, among(_f.source_id, given), _f.state == "given up")
            connection.execute(again.values(state="open", settled_at=None, settled_by="", settled_why=""))
            for row in rows:
                fields = {"fields": sorted(row["values"])}
                add_deed(connection, company, by, "corrected", f"{mapping} {side} {row['source_id']}", fields)

        self._write(work)


def drop_corrections(connection: Connection, company: str, mapping: str, side: Side, ids: Sequence[str]) -> None:
    """Forget the corrections of records."""
    here = (_c.company == company, _c.mapping == mapping, _c.side == side, among(_c.source_id, ids))
    if ids:
        connection.execute(sa.delete(correction).where(*here))
