"""What can be told. Plain data: no secrets are in it, customer data (names of records) may be.

A `Link` is an address of a page, empty where nobody has said where the pages are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:  # DAG files read this module's kinds of mails, and no ledger
    from iw_operators.ledger.activity import FailedRecord, FlowActivity, SettledRecord


class Kind(StrEnum):
    """Kinds of mails."""

    CONNECTION = "connection"
    ERROR = "error"
    STOPPED = "stopped"
    DEADLINE = "deadline"
    FULL_REPORT = "full report"
    ERROR_REPORT = "error report"


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Which run it is about, and where people look at it."""

    flow: str
    dag_run_id: str
    run_id: int | None = None
    log: str = ""  # the record log of the run
    airflow: str = ""  # the run in Airflow


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run failed: in which task, what happened, who does what."""

    task: str
    message: str
    code: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """A system cannot be used. `stopped`: DAGs that have paused themselves because of it."""

    kind: ClassVar[Kind] = Kind.CONNECTION
    system: str
    side: str
    began_at: dt.datetime
    reason: Reason
    run: RunPlace
    stopped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectionBack:
    """A system can be used again."""

    kind: ClassVar[Kind] = Kind.CONNECTION
    system: str
    side: str
    began_at: dt.datetime
    ended_at: dt.datetime
    run: RunPlace


@dataclass(frozen=True, slots=True)
class Trouble:
    """A run failed, or records of it did. `number`: of records that failed, of which `records` are the first.

    `lasting`: the flow runs by itself, and goes on failing until somebody has mended the cause.
    """

    kind: ClassVar[Kind] = Kind.ERROR
    run: RunPlace
    at: dt.datetime
    reasons: tuple[Reason, ...] = ()
    records: tuple[FailedRecord, ...] = ()
    number: int = 0
    stopped: tuple[str, ...] = ()
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class Recovered:
    """A flow that failed works again."""

    kind: ClassVar[Kind] = Kind.ERROR
    run: RunPlace
    began_at: dt.datetime
    ended_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Stopped:
    """Flows have paused themselves, by the company's policy or (`counter`) because their counter was reached."""

    kind: ClassVar[Kind] = Kind.STOPPED
    run: RunPlace
    at: dt.datetime
    why: str
    stopped: tuple[str, ...]
    counter: bool = False


@dataclass(frozen=True, slots=True)
class DeadlineMissed:
    """A run is not done in the minutes that its flow allows."""

    kind: ClassVar[Kind] = Kind.DEADLINE
    run: RunPlace
    minutes: int
    deadline_at: dt.datetime
    state: str


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a system could not be used. `ended_at` is None while it lasts."""

    system: str
    began_at: dt.datetime
    ended_at: dt.datetime | None
    detail: str


@dataclass(frozen=True, slots=True)
class DailyReport:
    """What a company's flows did from `since` to `until`, what is still open at the end of it, what was settled."""

    since: dt.datetime
    until: dt.datetime
    dag_run_id: str
    flows: tuple[FlowActivity, ...]
    open: tuple[FailedRecord, ...]
    open_number: int
    settled: tuple[SettledRecord, ...]
    settled_number: int
    outages: tuple[Outage, ...]
    errors_only: bool
    log: str = ""  # the records that failed
    links: Mapping[str, str] | None = None  # flow -> its page

    @property
    def kind(self) -> Kind:
        """Which of the two reports it is."""
        return Kind.ERROR_REPORT if self.errors_only else Kind.FULL_REPORT

    @property
    def failed_runs(self) -> int:
        """How many runs failed."""
        return sum(each.runs.get("failed", 0) for each in self.flows)

    @property
    def quiet(self) -> bool:
        """Whether there is nothing wrong to tell."""
        return not (self.failed_runs or self.open_number or self.settled_number or self.outages)


Event = ConnectionLost | ConnectionBack | Trouble | Recovered | Stopped | DeadlineMissed | DailyReport
