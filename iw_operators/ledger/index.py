"""The match index: under which keys the records of a side can be found, so that matching a page asks nobody."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Candidate
from iw_operators.ledger.bulk import insert_rows
from iw_operators.ledger.codec import identifier, storable
from iw_operators.ledger.database import Database, among
from iw_operators.ledger.tables import binding, index_key, index_state
from iw_operators.spec.resolved import Side, other

LONGEST_KEY = 500  # bytes; PostgreSQL's indexes take entries of a third of a page only

IndexRow = tuple[str, str, Sequence[str]]


class MatchIndex(Database):
    """The ledger's match index, one a mapping and side."""

    def index_state(self, company: str, mapping: str, side: Side) -> tuple[dt.datetime, str] | None:
        """Return until when the index holds everything, and the signature of the keys; None when it was never whole."""
        s = index_state.c
        query = sa.select(s.until, s.signature).where(s.company == company, s.mapping == mapping, s.side == side)
        row = self._read(lambda c: c.execute(query).one_or_none())
        return (row.until, row.signature) if row is not None else None

    def index_put(self, company: str, mapping: str, side: Side, rows: Sequence[IndexRow]) -> None:
        """Put records into the index: id, label, keys. What a record had before is replaced; no keys takes it out."""
        if not rows:
            return
        latest = {identifier(record_id): (storable(label), keys) for record_id, label, keys in rows}
        here = {"company": company, "mapping": mapping, "side": side}
        new = [
            {**here, "record_id": record_id, "label": label, "key": key}
            for record_id, (label, keys) in latest.items()
            for key in dict.fromkeys(map(_stored, keys))
        ]

        def work(connection: Connection) -> None:
            connection.execute(
                sa.delete(index_key).where(
                    _at(index_key, company, mapping, side), among(index_key.c.record_id, [*latest])
                )
            )
            if new:
                connection.execute(insert_rows(index_key, new).on_conflict_do_nothing())

        self._write(work, fenced=True)

    def index_done(self, company: str, mapping: str, side: Side, until: dt.datetime, signature: str) -> None:
        """Note that the index holds everything up to a point of the side's own clock."""
        made = insert(index_state).values(company=company, mapping=mapping, side=side, until=until, signature=signature)
        again = made.on_conflict_do_update(
            index_elements=["company", "mapping", "side"], set_={"until": until, "signature": signature}
        )
        self._write(lambda c: c.execute(again), fenced=True)

    def index_clear(self, company: str, mapping: str, side: Side) -> None:
        """Empty the index."""

        def work(connection: Connection) -> None:
            for table in (index_key, index_state):
                connection.execute(sa.delete(table).where(_at(table, company, mapping, side)))

        self._write(work, fenced=True)

    def candidates(self, company: str, mapping: str, side: Side, keys: Sequence[str]) -> dict[str, list[Candidate]]:
        """Return the records of `side` that stand under each key, in order of their ids; keys without any are absent.

        `bound_to` is the record of the other side that a candidate is bound to in this mapping.
        """
        if not keys:
            return {}
        asked = {_stored(key): key for key in keys}
        mine = binding.c.crm_id if side == "crm" else binding.c.books_id
        partner = binding.c.books_id if other(side) == "books" else binding.c.crm_id
        bound = sa.and_(
            binding.c.company == index_key.c.company,
            binding.c.mapping == index_key.c.mapping,
            mine == index_key.c.record_id,
        )
        query = (
            sa.select(index_key.c.key, index_key.c.record_id, index_key.c.label, partner)
            .select_from(index_key.outerjoin(binding, bound))
            .where(_at(index_key, company, mapping, side), among(index_key.c.key, [*asked]))
            .order_by(index_key.c.key, index_key.c.record_id)
        )

        def work(connection: Connection) -> dict[str, list[Candidate]]:
            found: dict[str, list[Candidate]] = {}
            for key, record_id, label, bound_to in connection.execute(query):
                found.setdefault(asked[key], []).append(Candidate(record_id, label, bound_to))
            return found

        return self._read(work)


def _at(table: sa.Table, company: str, mapping: str, side: Side) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.company == company, table.c.mapping == mapping, table.c.side == side)


def _stored(key: str) -> str:
    data = key.encode("utf-8", "surrogatepass")
    if len(data) <= LONGEST_KEY and b"\x00" not in data and storable(key) == key:
        return key
    return "sha256:" + hashlib.sha256(data).hexdigest()
