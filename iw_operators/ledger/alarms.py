"""Alarms: what lasts. It begins once and ends once, however many runs notice it meanwhile.

The mails about its beginning or end are queued in the same transaction, so that no crash comes in between.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.ledger.codec import storable
from iw_operators.ledger.database import Database
from iw_operators.ledger.flow_tables import alarm
from iw_operators.ledger.mails import NewMail, add_mails

_a = alarm.c


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. `ended_at` is None while it stands; of each key only the latest one is kept."""

    key: str
    began_at: dt.datetime
    detail: str
    ended_at: dt.datetime | None


Compose = Callable[[Alarm], Sequence[NewMail]]


class Alarms(Database):
    """The ledger's alarms, by company and key."""

    def begin_alarm(self, company: str, key: str, detail: str, mails: Compose, *, anew: bool = False) -> Alarm | None:
        """Begin an alarm and queue its mails; return it, or None when it stands already.

        :param detail: what is wrong, for people; without secrets.
        :param mails: what is to be sent. Called inside the transaction: it asks nobody and may be called twice.
        :param anew: an alarm that stands with another detail begins anew.
        """
        row = {"company": company, "key": key, "detail": storable(detail)}
        made = insert(alarm).values(**row)
        again: sa.ColumnElement[bool] = _a.ended_at.is_not(None)
        if anew:
            again = sa.or_(again, _a.detail != made.excluded.detail)
        begun = made.on_conflict_do_update(
            index_elements=["company", "key"],
            set_={"began_at": sa.func.now(), "ended_at": None, "detail": made.excluded.detail},
            where=again,
        )
        return self._change(company, begun.returning(_a.key, _a.began_at, _a.detail, _a.ended_at), mails)

    def end_alarm(
        self, company: str, key: str, mails: Compose, *, begun_before: dt.datetime | None = None
    ) -> Alarm | None:
        """End an alarm and queue its mails; return it, or None when there was none.

        :param begun_before: leave an alarm alone that began later: who says that it is over looked before it began.
        """
        these = [_a.company == company, _a.key == key, _a.ended_at.is_(None)]
        if begun_before is not None:
            these.append(_a.began_at < begun_before)
        ended = sa.update(alarm).where(*these).values(ended_at=sa.func.now())
        return self._change(company, ended.returning(_a.key, _a.began_at, _a.detail, _a.ended_at), mails)

    def _change(self, company: str, change: sa.Executable, mails: Compose) -> Alarm | None:
        def work(connection: Connection) -> Alarm | None:
            row = connection.execute(change).one_or_none()
            if row is None:
                return None
            changed = Alarm(*row)
            add_mails(connection, company, mails(changed))
            return changed

        return self._write(work)

    def alarms(self, company: str, *, since: dt.datetime | None = None) -> list[Alarm]:
        """Return the alarms that stand and, with `since`, those that have ended after it; the oldest first."""
        which = _a.ended_at.is_(None) if since is None else sa.or_(_a.ended_at.is_(None), _a.ended_at >= since)
        query = sa.select(_a.key, _a.began_at, _a.detail, _a.ended_at).where(_a.company == company, which)
        return self._read(lambda c: [Alarm(*row) for row in c.execute(query.order_by(_a.began_at, _a.key))])
