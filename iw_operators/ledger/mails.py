"""The outbox: mails are queued in the ledger first, sent, and marked. A mail server that is away loses none.

The same news has the same key and is queued once. A mail that is sent twice is possible, when a process dies between
the server's answer and the mark; a mail that is lost is not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from iw_operators.ledger.codec import can_be_stored, storable
from iw_operators.ledger.database import Database
from iw_operators.ledger.flow_tables import mail

_m = mail.c

MOST_TRIES: Final = 10  # of a mail that the server refuses for good
BETWEEN: Final = dt.timedelta(hours=1)  # two of these tries


@dataclass(frozen=True, slots=True)
class NewMail:
    """A mail to be queued: addresses, a subject of one line, and both bodies.

    :param key: the same news has the same key. :param kind: what it is about, for the log.
    """

    key: str
    kind: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """A mail in the outbox. `tries`: how often the server has refused it."""

    id: int
    queued_at: dt.datetime
    sent_at: dt.datetime | None
    tries: int
    error: str
    mail: NewMail


class Mails(Database):
    """The ledger's outbox, by company."""

    def queue_mails(self, company: str, mails: Sequence[NewMail]) -> int:
        """Queue mails; return how many of them are news."""
        return self._write(lambda c: add_mails(c, company, mails)) if mails else 0

    def due_mails(self, company: str, *, limit: int = 50) -> list[QueuedMail]:
        """Return the mails to be sent now, oldest first.

        One that the server has refused for good is due again after an hour, and ten times at most; it is kept.
        """
        waited = sa.or_(_m.tried_at.is_(None), _m.tried_at <= sa.func.now() - BETWEEN)
        due = (_m.company == company, _m.sent_at.is_(None), sa.or_(_m.tries == 0, waited), _m.tries < MOST_TRIES)
        query = sa.select(mail).where(*due).order_by(_m.id).limit(limit)
        return self._read(lambda c: [_queued(row) for row in c.execute(query).mappings()])

    def mails(self, company: str, *, limit: int = 100, unsent: bool = False) -> list[QueuedMail]:
        """Return mails of a company, newest first; with `unsent` only those that have not gone."""
        query = sa.select(mail).where(_m.company == company).order_by(_m.id.desc()).limit(limit)
        query = query.where(_m.sent_at.is_(None)) if unsent else query
        return self._read(lambda c: [_queued(row) for row in c.execute(query).mappings()])

    def mail_sent(self, company: str, number: int, note: str = "") -> None:
        """Mark a mail as sent. `note`: whom the server refused, if it took the mail for others."""
        self._mark(company, number, sent_at=sa.func.now(), error=storable(note))

    def mail_refused(self, company: str, number: int, error: str) -> None:
        """Note that the server refused a mail for good."""
        self._mark(company, number, tries=_m.tries + 1, tried_at=sa.func.now(), error=storable(error))

    def mail_waits(self, company: str, number: int, error: str) -> None:
        """Note why a mail could not be sent yet."""
        self._mark(company, number, error=storable(error))

    def _mark(self, company: str, number: int, **values: Any) -> None:
        change = sa.update(mail).where(_m.company == company, _m.id == number).values(**values)
        self._write(lambda c: c.execute(change), patience=self.patience)

    def prune_mails(self, company: str, before: dt.datetime) -> int:
        """Delete mails that were queued before a time, sent or not; return how many."""
        gone = sa.delete(mail).where(_m.company == company, _m.queued_at < before)
        return self._write(lambda c: c.execute(gone).rowcount)


def add_mails(connection: Connection, company: str, mails: Sequence[NewMail]) -> int:
    """Queue mails in a transaction that is under way; return how many of them are news."""
    news = 0
    for each in mails:
        row = {
            "company": company,
            "key": storable(each.key),
            "kind": each.kind,
            "recipients": {"to": each.to, "cc": each.cc, "bcc": each.bcc},
            **{name: _kept(getattr(each, name)) for name in ("subject", "text", "html")},
        }
        made = insert(mail).values(**row).on_conflict_do_nothing(index_elements=["company", "key"])
        news += connection.execute(made).rowcount
    return news


def _kept(text: str) -> str:
    """Return text as it can be kept. What records say in it has been through `storable` one by one."""
    return text if can_be_stored(text) else storable(text)


def _queued(row: Any) -> QueuedMail:
    people = row["recipients"]
    mail_ = NewMail(
        row["key"],
        row["kind"],
        tuple(people["to"]),
        tuple(people["cc"]),
        tuple(people["bcc"]),
        row["subject"],
        row["text"],
        row["html"],
    )
    return QueuedMail(row["id"], row["queued_at"], row["sent_at"], row["tries"], row["error"], mail_)
