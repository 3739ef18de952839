"""A company whose runs end in every way, with a real ledger and a real mail server."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from iw_operators import notify, xcoms
from iw_operators.deadlines import note_missed, told_of
from iw_operators.engine.model import Action
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.store import Ledger
from iw_operators.notify.daily import queue_report
from iw_operators.notify.outbox import flush
from iw_operators.retry import ERROR_KEY
from iw_operators.spec.resolved import ResolvedFlow
from sandbox.mail import RunningMail
from tests.ledger import kit as ledger_kit
from tests.notify.kit import TEMPLATES, Said

REPOSITORY: Final = Path(__file__).resolve().parents[2]
FLOW: Final = "QBItem2CRProd"
LABELS: Final = {"crm": "TheCrm", "books": "TheBooks"}


@dataclass
class Office:
    """A company's flow, its ledger, and the mail server that its mails go to."""

    flow: ResolvedFlow
    ledger: Ledger
    mail: RunningMail
    runs: int = 0
    off: frozenset[str] = frozenset()  # DAGs that are switched off

    def run(self, wrong: list[str] | None = None, said: dict[tuple[str, str], Any] | None = None, **end: Any) -> int:
        """Let a run end, with what its tasks said; return its number."""
        self.runs += 1
        dag_run_id = f"manual__{self.runs}"
        run = ledger_kit.begin(
            self.ledger, company="acme", flow=self.flow.flow, dag_run_id=dag_run_id, mapping="items", source="books"
        )
        if decisions := end.get("decisions"):
            self.ledger.record(run, decisions)
        self.ledger.end_run(run.run_id, "failed" if wrong else "success", error="\n".join(wrong or []))
        asked = {("ready", xcoms.ASKED_AT): end.get("asked", dt.datetime.now(dt.UTC)).isoformat()}
        context: Any = {
            "ti": Said({**asked, **(said or {})}, off=self.off),
            "run_id": dag_run_id,
            "dag": SimpleNamespace(fileloc=str(REPOSITORY / "dags" / "interweave.py")),
        }
        notify.after_run(self.flow, OwnLedger.of(self.ledger, "acme"), run.run_id, wrong=wrong or [], context=context)
        return run.run_id

    def away(
        self, side: str = "books", *reached: str, flow: str = "", also: Mapping[tuple[str, str], Any] | None = None
    ) -> int:
        """Let a run fail because a system cannot be reached."""
        error = {"error": "ConnectionFailure", "code": "http.refused", "message": "Nobody answers.", "advice": "Look."}
        lost = {**error, "side": side, "reached": list(reached)}
        said = {("ready", xcoms.UNREACHABLE): lost, ("ready", ERROR_KEY): error}
        if flow:
            self.flow = self.flow.model_copy(update={"flow": flow})
        wrong = ["ready: ConnectionFailure: [http.refused] Nobody answers. Look.", "Not done: items."]
        return self.run(wrong, {**said, **(also or {})})

    def broken(self, message: str = "The balance is off.", *, also: Mapping[tuple[str, str], Any] | None = None) -> int:
        """Let a run fail in its mapping."""
        error = {"error": "StopFlow", "code": "iw.balance", "message": message, "advice": "Look at the log."}
        wrong = [f"items: StopFlow: [iw.balance] {message} Look at the log."]
        return self.run(wrong, {("items", ERROR_KEY): error, **(also or {})})

    def rejected(self, *ids: str, action: Action = Action.REJECT, why: str = "It is too long.", **more: Any) -> int:
        """Let a run end well in which records did not go through."""
        code = {"code": "iw.too_long", "label": f"Name of {ids[0]}", "field": "name", "why": why, **more}
        return self.run(decisions=[ledger_kit.quiet(action, each, **code) for each in ids])

    def report(self, hours: float = 24) -> None:
        """Make the daily report and send it."""
        self.runs += 1
        now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
        window = (now - dt.timedelta(hours=hours), now)
        queue_report(self.ledger, self.flow.company, LABELS, window, f"scheduled__{self.runs}", TEMPLATES)
        flush(self.ledger, "acme")

    def late(self, state: str = "running") -> None:
        """Let a run miss its deadline."""
        run = {"dag_run_id": f"manual__{self.runs}", "dag_id": f"acme.{self.flow.flow}", "state": state}
        context = {"dag_run": run, "deadline": {"deadline_time": dt.datetime.now(dt.UTC)}}
        asyncio.run(note_missed(context=context, **told_of(self.flow)))

    @property
    def mails(self) -> list[dict[str, Any]]:
        """The mails that have arrived, oldest first."""
        return self.mail.sandbox.store.all()

    @property
    def subjects(self) -> list[str]:
        """Their subjects, without company and environment; outages of a test last 0 s, however busy the machine is."""
        return [re.sub(r"(?<=is back after )\d+ s$", "0 s", each["subject"].partition("] ")[2]) for each in self.mails]
