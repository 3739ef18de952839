"""Events, companies and parsed mails for the tests of e-mail."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from iw_operators.ledger.activity import FailedRecord, FlowActivity, SettledRecord
from iw_operators.ledger.mails import NewMail, QueuedMail
from iw_operators.notify.events import (
    ConnectionBack,
    ConnectionLost,
    DailyReport,
    DeadlineMissed,
    Event,
    Outage,
    Reason,
    Recovered,
    RunPlace,
    Stopped,
    Trouble,
)
from iw_operators.notify.mime import message
from iw_operators.spec.models import Company, Endpoint, Environment, Notify, NotifyMode

TEMPLATES: Final = Path(__file__).resolve().parents[2] / "include" / "email"
NOW: Final = dt.datetime(2026, 3, 8, 12, 0, tzinfo=dt.UTC)
HOUR: Final = dt.timedelta(hours=1)
PLACE: Final = RunPlace("CRAcct2QBCust", "manual__1", 7, "https://air/iwmgr/x?run=7", "https://air/dags/a/runs/1")
ODD: Final = "! @ # $ % ^ & * + { } [ ] ? > < ' \" Ångström Öl 北京 عربى 😀 👩‍👩‍👧 =?utf-8?b?eA==?="


@dataclass
class Said:
    """A task instance, as far as it has XComs: (task, key) -> value."""

    xcoms: dict[tuple[str, str], Any] = field(default_factory=dict)
    task_id: str = "report"
    off: frozenset[str] = frozenset()  # DAGs that are switched off

    def xcom_pull(self, *, task_ids: str, key: str) -> Any:
        """Return what a task said."""
        return self.xcoms.get((task_ids, key))

    def get_dag(self, dag_id: str) -> SimpleNamespace:
        """Return a DAG, as far as it is asked for."""
        return SimpleNamespace(is_paused=dag_id in self.off)


def company(mode: NotifyMode | str = NotifyMode.EVERY_ERROR, **notify: Any) -> Company:
    """Return a company that is told of everything, and whom."""
    people = {"admin": ("ops@acme.example",), "cc": ("cc@acme.example",), "bcc": ("quiet@acme.example",)}
    return Company(
        company="acme",
        crm=Endpoint(system="anycrm", connection="acme_crm"),
        books=Endpoint(system="anybooks", connection="acme_books"),
        time_zone="America/New_York",
        environment=Environment.PRODUCTION_A,
        notify=Notify(mode=NotifyMode(mode), **{**people, "hosting_provider": ("host@dc.example",), **notify}),
    )


def record(label: str = "Ångström & Söhne", **more: Any) -> FailedRecord:
    """Return a record that failed."""
    fields: dict[str, Any] = {
        "mapping": "customers",
        "side": "crm",
        "source_id": "a1",
        "label": label,
        "action": "rejected",
        "code": "6240",
        "why": "The name is taken.",
        "advice": "Give it another name.",
        "field": "name",
        "last_at": NOW,
    }
    return FailedRecord(**{**fields, **more})


def events() -> dict[str, Event]:
    """Return one event of each class, and both reports."""
    why = Reason("ready", "Nobody answers at books.example.", "http.refused", "Look at the server.")
    report: dict[str, Any] = {
        "since": NOW - 24 * HOUR,
        "until": NOW,
        "dag_run_id": "scheduled__1",
        "flows": (FlowActivity("CRAcct2QBCust", {"success": 9, "failed": 1}, {"created": 4}, "It broke.", 7),),
        "open": (record(),),
        "open_number": 1,
        "settled": (SettledRecord("customers", "a2", "Beta", "fixed", "CRAcct2QBCust", "updated: differs", NOW),),
        "settled_number": 1,
        "outages": (Outage("AnyBooks", NOW - HOUR, NOW, "Nobody answers."),),
    }
    return {
        "lost": ConnectionLost("AnyBooks", "books", NOW, why, PLACE),
        "back": ConnectionBack("AnyBooks", "books", NOW, NOW + 2 * HOUR + dt.timedelta(minutes=10), PLACE),
        "trouble": Trouble(PLACE, NOW, (why,), (record(),), 3),
        "records": Trouble(PLACE, NOW, (), (record(),), 1),
        "recovered": Recovered(PLACE, NOW, NOW + HOUR),
        "stopped": Stopped(PLACE, NOW, "A run has failed.", ("acme.CRAcct2QBCust",)),
        "counter": Stopped(PLACE, NOW, "It has completed 5 of 5 runs.", ("acme.CRAcct2QBCust",), counter=True),
        "deadline": DeadlineMissed(PLACE, 30, NOW, "running"),
        "full report": DailyReport(**report, errors_only=False),
        "error report": DailyReport(**report, errors_only=True),
    }


def read(mail: NewMail, sender: str = "interweave@acme.example") -> EmailMessage:
    """Return a mail as it is read at the other end of the wire."""
    found = email.message_from_bytes(message(mail, sender, NOW, 1), policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def queued(mail: NewMail, number: int = 1) -> QueuedMail:
    """Return a mail in the outbox."""
    return QueuedMail(number, NOW, None, 0, "", mail)


def body(found: EmailMessage, kind: str) -> str:
    """Return one of a mail's bodies, with line ends as programs have them."""
    part = found.get_body((kind,))
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("utf-8").replace("\r\n", "\n")
