"""What people did, kept with their names: started, stopped, set, approved, gave up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from iw_operators.ledger.codec import storable
from iw_operators.ledger.database import Database
from iw_operators.ledger.flow_tables import deed


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that somebody did. `subject` is what it was done to: a flow, a record, a connection."""

    id: int
    by: str
    what: str
    subject: str
    detail: Mapping[str, Any]
    at: dt.datetime


class Deeds(Database):
    """The ledger's list of what people did."""

    def note_deed(self, company: str, by: str, what: str, subject: str, detail: Mapping[str, Any] | None = None) -> int:
        """Note what somebody did; return the row's id. `detail` is JSON data without secrets."""
        return self._write(lambda c: add_deed(c, company, by, what, subject, detail))

    def deeds(self, company: str, *, subject: str | None = None, limit: int = 100) -> list[Deed]:
        """Return what people did in a company, newest first; with `subject`, to that alone."""
        d = deed.c
        query = sa.select(d.id, d.by, d.what, d.subject, d.detail, d.at).where(d.company == company)
        if subject is not None:
            query = query.where(d.subject == subject)
        query = query.order_by(d.at.desc(), d.id.desc()).limit(limit)
        return self._read(lambda c: [Deed(*row) for row in c.execute(query)])


def add_deed(
    connection: Connection, company: str, by: str, what: str, subject: str, detail: Mapping[str, Any] | None = None
) -> int:
    """Note a deed in a transaction that is under way; return the row's id."""
    row = {"company": company, "by": storable(by), "what": what, "subject": storable(subject)}
    made = sa.insert(deed).values(**row, detail=dict(detail or {})).returning(deed.c.id)
    return int(connection.execute(made).scalar_one())
