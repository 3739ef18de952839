"""Single-user maintenance of a company: one row from its beginning to its end, with the flows to be started again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.ledger.codec import storable
from iw_operators.ledger.database import Database
from iw_operators.ledger.deeds import add_deed
from iw_operators.ledger.flow_tables import deed, maintenance

BEGAN, ENDED = "began maintenance", "ended maintenance"  # deeds


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A maintenance. `flows` are DAG ids of flows that were switched on when it began, in order of their names."""

    id: int
    company: str
    by: str
    why: str
    flows: tuple[str, ...]
    began_at: dt.datetime


class Maintenances(Database):
    """The ledger's maintenances, at most one a company at a time."""

    def maintenance(self, company: str) -> Maintenance | None:
        """Return the maintenance that a company is in."""
        return self._read(lambda c: _under_way(c, company))

    def begin_maintenance(self, company: str, by: str, why: str = "", flows: Collection[str] = ()) -> Maintenance:
        """Begin a maintenance and return it; where one is under way, `flows` join it and the rest of it stays."""

        m = maintenance.c

        def work(connection: Connection) -> Maintenance:
            row = {"company": company, "by": storable(by), "why": storable(why), "flows": sorted(set(flows))}
            made = insert(maintenance).values(**row)
            # One that is under way is not changed, but kept from ending until this has been done.
            same = made.on_conflict_do_update(
                index_elements=["company"], index_where=m.ended_at.is_(None), set_={"company": company}
            )
            found = connection.execute(same.returning(m.id, m.by, m.why, m.flows, m.began_at, _is_new())).one()
            joined = tuple(sorted({*found.flows, *flows}))
            if found.new or joined != tuple(found.flows):
                connection.execute(sa.update(maintenance).where(_open(company)).values(flows=list(joined)))
                add_deed(connection, company, by, BEGAN, company, {"why": why, "flows": list(joined)})
            return Maintenance(found.id, company, found.by, found.why, joined, found.began_at)

        return self._write(work)

    def end_maintenance(
        self, company: str, by: str, *, number: int | None = None, dag_run_id: str = ""
    ) -> Maintenance | None:
        """End a company's maintenance and return it as it was; None when there is none.

        :param number: the `id` of the one that is meant: another one goes on, and None is returned.
        :param dag_run_id: the run that ends it: it is given the maintenance that it has ended each time that it asks.
        """

        def work(connection: Connection) -> Maintenance | None:
            found = _under_way(connection, company, for_update=True)
            if found is None or number not in (None, found.id):
                return _ended(connection, company, number, dag_run_id) if dag_run_id and number else None
            ended = {"ended_at": sa.func.now(), "ended_by": storable(by)}
            connection.execute(sa.update(maintenance).where(_open(company)).values(**ended))
            run = {"maintenance": found.id, "run": dag_run_id} if dag_run_id else {}
            add_deed(connection, company, by, ENDED, company, {"flows": list(found.flows), **run})
            return found

        return self._write(work)


def _open(company: str) -> sa.ColumnElement[bool]:
    return sa.and_(maintenance.c.company == company, maintenance.c.ended_at.is_(None))


def _is_new() -> sa.ColumnElement[bool]:
    """Return whether the row at hand was made by this statement: then nobody has locked or replaced it."""
    return (sa.literal_column("xmax") == sa.literal_column("'0'::xid")).label("new")


def _under_way(connection: Connection, company: str, *, for_update: bool = False) -> Maintenance | None:
    query = _maintenances().where(_open(company))
    return _read(connection, query.with_for_update() if for_update else query)


def _ended(connection: Connection, company: str, number: int, dag_run_id: str) -> Maintenance | None:
    """Return the maintenance that has ended, if it was this run that has ended it."""
    d = deed.c
    by_run = sa.and_(
        d.company == company,
        d.what == ENDED,
        d.detail["run"].as_string() == dag_run_id,
        d.detail["maintenance"].as_integer() == number,
    )
    these = maintenance.c.company == company, maintenance.c.id == number
    return _read(connection, _maintenances().where(*these, sa.exists().where(by_run)))


def _maintenances() -> sa.Select[Any]:
    m = maintenance.c
    return sa.select(m.id, m.company, m.by, m.why, m.flows, m.began_at)


def _read(connection: Connection, query: sa.Select[Any]) -> Maintenance | None:
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Maintenance(row.id, row.company, row.by, row.why, tuple(row.flows), row.began_at)
