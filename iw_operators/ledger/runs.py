"""Runs, their mappings and the balance of each (law 3)."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.engine.model import Action
from iw_operators.errors import StopFlow
from iw_operators.ledger.codec import storable
from iw_operators.ledger.database import Database
from iw_operators.ledger.failures import note_left_stale
from iw_operators.ledger.model import MappingSummary
from iw_operators.ledger.tables import binding, log, of_attempt, run, run_mapping

Moment = dt.datetime | None

# From most to least telling, for a record that has rows of several attempts.
TELLING = (
    Action.CREATE,
    Action.UPDATE,
    Action.REJECT,
    Action.HOLD,
    Action.UNKNOWN,
    Action.SKIP,
    Action.UNCHANGED,
)
RANK = sa.case({action.value: place for place, action in enumerate(TELLING)}, value=log.c.action)  # place in it


class Runs(Database):
    """The ledger's runs. A run is one DAG run of a flow; its id is known from `begin_run`."""

    def begin_run(
        self,
        *,
        company: str,
        flow: str,
        dag_run_id: str,
        kind: str,
        direction: str,
        attempt: int = 1,
        reprocess: bool = False,
    ) -> int:
        """Return the id of a run, which is made when it is new. May be called by every task of the run.

        :param reprocess: the run is about records that had failed; those that it settles are called reprocessed.
        """
        row = {"company": company, "flow": flow, "dag_run_id": dag_run_id, "kind": kind, "direction": direction}
        made = insert(run).values(**row, attempt=attempt, state="running", reprocess=reprocess)
        again = made.on_conflict_do_update(
            index_elements=["company", "flow", "dag_run_id"],
            set_={
                "attempt": sa.func.greatest(run.c.attempt, made.excluded.attempt),
                "state": "running",
                "error": "",
                "ended_at": None,
            },
        )
        return self._write(lambda c: int(c.execute(again.returning(run.c.id)).scalar_one()))

    def find_run(self, company: str, flow: str, dag_run_id: str) -> int | None:
        """Return the id of a run; None when it has not begun."""
        query = sa.select(run.c.id).where(run.c.company == company, run.c.flow == flow, run.c.dag_run_id == dag_run_id)
        return self._read(lambda c: c.scalar(query))

    def set_window(self, run_id: int, since: Moment, until: Moment) -> tuple[Moment, Moment]:
        """Fix which changes a run is about, and return it. The first call wins: a retry gets the same window."""

        def work(connection: Connection) -> tuple[Moment, Moment]:
            connection.execute(
                sa.update(run)
                .where(run.c.id == run_id, sa.not_(run.c.window_set))
                .values(since=since, until=until, window_set=True)
            )
            row = connection.execute(sa.select(run.c.since, run.c.until).where(run.c.id == run_id)).one_or_none()
            if row is None:
                raise StopFlow(_no_run(run_id))
            return row.since, row.until

        return self._write(work)

    def window(self, run_id: int) -> tuple[Moment, Moment] | None:
        """Return which changes a run is about; None while it is not fixed."""
        query = sa.select(run.c.since, run.c.until).where(run.c.id == run_id, run.c.window_set)
        row = self._read(lambda c: c.execute(query).one_or_none())
        return (row.since, row.until) if row is not None else None

    def begin_mapping(self, run_id: int, mapping: str, fingerprint: str, attempt: int) -> None:
        """Note that an attempt of a mapping begins. Its rows of an interrupted beginning no longer count for balance.

        Write-backs that failed in an earlier run are due again.
        """

        def work(connection: Connection) -> None:
            company = connection.scalar(sa.select(run.c.company).where(run.c.id == run_id))
            if company is None:
                raise StopFlow(_no_run(run_id))
            row = {"run_id": run_id, "mapping": mapping, "attempt": attempt, "company": company}
            made = insert(run_mapping).values(**row, fingerprint=fingerprint)
            fresh = {"fingerprint": fingerprint, "started_at": sa.func.now(), "read": None, "counts": None}
            connection.execute(
                made.on_conflict_do_update(
                    index_elements=["run_id", "mapping", "attempt"], set_={**fresh, "balanced": None, "ended_at": None}
                )
            )
            connection.execute(sa.update(log).where(_counted(run_id, mapping, attempt)).values(standing="earlier"))
            connection.execute(
                sa.update(binding)
                .where(binding.c.company == company, binding.c.mapping == mapping, binding.c.write_back == "failed")
                .values(write_back="pending")
            )

        self._write(work, fenced=True)

    def end_mapping(self, run_id: int, mapping: str, attempt: int, read: int) -> dict[str, int]:
        """Note that an attempt of a mapping has read and recorded everything; return its records by `Action` value.

        :raises StopFlow: the records read are not the records recorded (law 3).
        """

        def work(connection: Connection) -> dict[str, int]:
            query = sa.select(log.c.action, sa.func.count()).where(_counted(run_id, mapping, attempt))
            found: dict[str, int] = dict(connection.execute(query.group_by(log.c.action)).all())
            counts: dict[str, int] = {action.value: found[action.value] for action in Action if action.value in found}
            connection.execute(
                sa.update(run_mapping)
                .where(of_attempt(run_id, mapping, attempt))
                .values(read=read, counts=counts, balanced=sum(counts.values()) == read, ended_at=sa.func.now())
            )
            note_left_stale(connection, run_id, mapping, attempt)
            return counts

        counts = self._write(work, patience=self.patience, fenced=True)
        recorded = sum(counts.values())
        if recorded != read:
            listed = ", ".join(f"{number} {action}" for action, number in counts.items()) or "nothing"
            msg = f"Mapping {mapping} read {read} records but recorded {recorded}: {listed}."
            advice = "Query Starts stays where it is. Compare the record log of this run with the source."
            raise StopFlow(msg, code="iw.balance", advice=advice)
        return counts

    def end_run(self, run_id: int, state: Literal["success", "failed", "skipped", "stopped"], error: str = "") -> None:
        """Note how a run ended; `error` says to people why it failed, was skipped or stopped, without secrets.

        `skipped`: it was not its turn, nothing was read. `stopped`: it has ended a page and left the rest.
        """
        change = sa.update(run).where(run.c.id == run_id)
        values = {"state": state, "error": storable(error), "ended_at": sa.func.now()}
        self._write(lambda c: c.execute(change.values(**values)), patience=self.patience)

    def error(self, run_id: int) -> str:
        """Return why a run failed, in the words that `end_run` was given; empty when it did not."""
        query = sa.select(run.c.error).where(run.c.id == run_id)
        return self._read(lambda c: c.scalar(query)) or ""

    def summary(self, run_id: int) -> list[MappingSummary]:
        """Return what a run did, mapping by mapping in the order they began.

        Each source record counts once, over all attempts, with its most telling row.
        """
        telling = (
            sa.select(log.c.mapping, sa.func.min(RANK).label("place"))
            .where(log.c.run_id == run_id, log.c.standing.in_(("counted", "earlier")))
            .group_by(log.c.mapping, log.c.source_id)
            .subquery()
        )
        query = sa.select(telling.c.mapping, telling.c.place, sa.func.count()).group_by(
            telling.c.mapping, telling.c.place
        )
        began = (
            sa.select(run_mapping.c.mapping)
            .where(run_mapping.c.run_id == run_id)
            .group_by(run_mapping.c.mapping)
            .order_by(sa.func.min(run_mapping.c.started_at))
        )

        def work(connection: Connection) -> list[MappingSummary]:
            counts: dict[str, dict[str, int]] = {name: {} for (name,) in connection.execute(began)}
            for mapping, place, number in connection.execute(query):
                counts.setdefault(mapping, {})[TELLING[place].value] = number
            return [
                MappingSummary(name, sum(by.values()), {a.value: by[a.value] for a in Action if a.value in by})
                for name, by in counts.items()
            ]

        return self._read(work)


def _counted(run_id: int, mapping: str, attempt: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        log.c.run_id == run_id, log.c.mapping == mapping, log.c.attempt == attempt, log.c.standing == "counted"
    )


def _no_run(run_id: int) -> str:
    return f"The ledger has no run {run_id}."
