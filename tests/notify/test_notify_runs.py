"""What arrives after runs, in each mode: a real ledger, and a real mail server behind Airflow's SMTP connection."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from iw_operators import xcoms
from iw_operators.engine.model import Action, Await
from iw_operators.ledger.own import OwnLedger
from iw_operators.ledger.store import Ledger
from iw_operators.notify.daily import queue_report
from iw_operators.notify.outbox import flush
from iw_operators.notify.stopping import note_stopped
from iw_operators.retry import ERROR_KEY
from iw_operators.spec.loader import load_company
from iw_operators.spec.models import FlowKind, Notify, NotifyMode
from sandbox.mail import RunningMail, airflow_connection, serve_mail
from tests.ledger import kit as ledger_kit
from tests.notify.kit import ODD, TEMPLATES
from tests.notify.office import FLOW, LABELS, REPOSITORY, Office

pytestmark = [pytest.mark.ledger, pytest.mark.sandbox, pytest.mark.feature("R8")]


Offices = Callable[..., Office]


@pytest.fixture
def mail() -> Iterator[RunningMail]:
    """A mail server."""
    with serve_mail() as running:
        yield running


@pytest.fixture
def office(ledger: Ledger, ledger_connection: None, mail: RunningMail, monkeypatch: pytest.MonkeyPatch) -> Offices:
    """A function that makes a company with a mode."""
    spec, errors = load_company(REPOSITORY / "mappings" / "acme")
    assert spec, errors
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(airflow_connection(mail.smtp_port)))
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__BASE_URL", "https://airflow.acme.example/")
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__TEMPLATES_FOLDER", str(TEMPLATES))
    monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(REPOSITORY / "mappings"))
    made = spec

    def make(mode: NotifyMode | str = NotifyMode.EVERY_ERROR, **people: Any) -> Office:
        people = {"admin": ("ops@acme.example",), **people}
        company = made.company.model_copy(update={"notify": Notify(mode=NotifyMode(mode), **people)})
        flow = made.flows[FLOW]
        spec_ = flow.spec.model_copy(update={"deadline_minutes": 30})
        return Office(flow.model_copy(update={"company": company, "spec": spec_}), ledger, mail)

    return make


LOST, BACK = "QuickBooks Online cannot be reached", "QuickBooks Online is back after 0 s"
FAILED, AGAIN = f"{FLOW}: failed, The balance is off.", f"{FLOW} works again"
REJECTED = f"{FLOW}: rejected: Name of i1"
LATE = f"{FLOW} is not done within 30 minutes"
FULL, ERRORS = "Daily report", "Error report"
ARRIVES: Final[dict[NotifyMode, list[str]]] = {
    NotifyMode.NONE: [],
    NotifyMode.CONNECTION_FAILURES: [LOST, BACK, LATE],
    NotifyMode.EVERY_ERROR: [LOST, BACK, FAILED, AGAIN, REJECTED, LATE],
    NotifyMode.CONNECTION_FAILURES_AND_FULL_DAILY_REPORT: [LOST, BACK, LATE, FULL],
    NotifyMode.CONNECTION_FAILURES_AND_ERROR_DAILY_REPORT: [LOST, BACK, LATE, ERRORS],
    NotifyMode.ERROR_DAILY_REPORT: [LATE, ERRORS],
    NotifyMode.FULL_DAILY_REPORT: [LATE, FULL],
}


@pytest.mark.parametrize("mode", list(NotifyMode))
def test_what_arrives_in_each_mode(office: Offices, mode: NotifyMode) -> None:
    """An outage, a flow that fails and works again, a rejected record, a late run, and the report of the day."""
    here = office(mode)
    here.away()
    here.away()
    here.run()
    here.broken()
    here.run()
    here.rejected("i1")
    here.late()
    here.report()
    assert [subject.partition(": 3 failed")[0] for subject in here.subjects] == ARRIVES[mode]
    assert here.ledger.mails("acme", unsent=True) == []


def test_a_lasting_outage_is_two_mails(office: Offices) -> None:
    """However many runs of however many flows fail meanwhile: one mail when it begins, one when it ends."""
    here = office(NotifyMode.CONNECTION_FAILURES)
    for number in range(12):
        here.away(flow=f"Flow{number % 4}")
    assert here.subjects == [LOST]
    here.run()
    here.run()
    assert here.subjects == [LOST, BACK]
    here.away()
    assert here.subjects == [LOST, BACK, LOST]


def test_both_systems_have_an_outage_of_their_own(office: Offices) -> None:
    """While one is away the other one can come back, as far as runs get to it."""
    here = office(NotifyMode.CONNECTION_FAILURES)
    here.away("books")
    here.away("crm", "books")
    here.away("crm", "books")
    here.run()
    assert here.subjects == [LOST, BACK, "Creatio cannot be reached", "Creatio is back after 0 s"]


def test_a_run_that_looked_before_the_outage_does_not_end_it(office: Offices) -> None:
    """A long run that reached both systems before one of them went away says nothing about it."""
    here = office(NotifyMode.CONNECTION_FAILURES)
    here.away()
    here.run(asked=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=10))
    assert here.subjects == [LOST]


def test_a_failing_ready_that_reached_nothing_wrong_is_no_outage(office: Offices) -> None:
    """A run that is refused its turn has failed, and no connection has."""
    here = office(NotifyMode.EVERY_ERROR)
    here.run(["ready: FixConfiguration: [iw.strict] Refused."])
    assert here.subjects == [f"{FLOW}: failed, FixConfiguration: [iw.strict] Refused."]
    assert [each.key for each in here.ledger.alarms("acme")] == [f"flow:{FLOW}"]


def test_a_flow_that_goes_on_failing_is_told_once_a_reason(office: Offices) -> None:
    """The same reason is no news; another one is."""
    here = office()
    for _ in range(3):
        here.broken()
    here.broken("Another thing.")
    here.run()
    assert here.subjects == [FAILED, f"{FLOW}: failed, Another thing.", AGAIN]


def test_a_run_that_was_stopped_by_somebody_is_no_error(office: Offices) -> None:
    """A bulk load that was stopped in the middle fails in Airflow, and nobody gets a mail."""
    here = office()
    error = {"error": "StopFlow", "code": "iw.yielded", "message": "Stopped.", "advice": ""}
    here.run(["items: StopFlow: [iw.yielded] Stopped."], {("items", ERROR_KEY): error})
    assert here.subjects == []


class TestRecords:
    """Records that do not go through, in mode every_error."""

    @pytest.mark.feature("E2", "E3")
    def test_they_come_with_everything(self, office: Offices) -> None:
        """Name, id, reason, code, and the catalogue's advice of the code; links to the log and to Airflow."""
        here = office()
        run_id = here.rejected("i1", "i2", label=ODD, why=f"{ODD} is too long.")
        (found,) = here.mails
        assert found["subject"] == f"[acme, development] {FLOW}: rejected: {ODD} and 1 more"
        advice = "Shorten it in the source"
        for words in (ODD, f"{ODD} is too long.", "id i1", "id i2", "field name", "iw.too_long", advice):
            assert words in found["text"]
        base = "https://airflow.acme.example"
        assert f"{base}/dags/acme.{FLOW}/runs/manual__1" in found["text"]
        assert f"{base}/iwmgr/" in found["html"]
        assert str(run_id) in found["text"]

    def test_the_same_failure_is_told_once(self, office: Offices) -> None:
        """A record that is tried again and fails for the same reason is no news; for another reason it is."""
        here = office()
        here.rejected("i1")
        here.rejected("i1")
        here.rejected("i1", why="Now something else.")
        here.rejected("i1", "i2", why="Now something else.")
        assert here.subjects == [REJECTED, REJECTED, REJECTED]
        assert "id i2" in here.mails[2]["text"]
        assert "id i1" not in here.mails[2]["text"]

    def test_what_waits_for_another_record_is_no_error(self, office: Offices) -> None:
        """It goes by itself; what a person has to decide is told."""
        here = office()
        here.rejected("i1", action=Action.HOLD, awaits=(Await("items", "i9"),))
        assert here.subjects == []
        here.rejected("i2", action=Action.HOLD, why="Two partners fit.")
        assert here.subjects == [f"{FLOW}: held: Name of i2"]

    def test_many_are_counted(self, office: Offices) -> None:
        """The first ones are named."""
        here = office()
        here.rejected(*(f"i{number}" for number in range(40)))
        assert here.subjects == [f"{FLOW}: rejected: Name of i0 and 39 more"]
        assert "And 15 more." in here.mails[0]["text"]

    def test_a_report_that_is_done_again_tells_nothing_twice(self, office: Offices) -> None:
        """A task `report` that is cleared and runs again makes the same news."""
        here = office()
        here.rejected("i1")
        here.runs -= 1
        here.run()
        assert here.subjects == [REJECTED]


@pytest.mark.feature("R7")
class TestStopped:
    """Flows that pause themselves."""

    PAUSE: Final = {("report", xcoms.PAUSE): {"dags": [], "all": "scheduled", "why": "A run has failed."}}

    def test_the_mail_about_the_outage_says_so(self, office: Offices) -> None:
        """One mail, with what has stopped and how to go on."""
        here = office(NotifyMode.CONNECTION_FAILURES)
        here.away(also=self.PAUSE)
        assert here.subjects == [LOST]
        assert "all scheduled flows of acme" in here.mails[0]["text"]
        assert "How to go on" in here.mails[0]["text"]

    @pytest.mark.parametrize("mode", [NotifyMode.CONNECTION_FAILURES, NotifyMode.FULL_DAILY_REPORT])
    def test_where_the_error_itself_is_not_told_the_stop_is(self, office: Offices, mode: NotifyMode) -> None:
        """Nobody would notice otherwise."""
        here = office(mode)
        here.broken(also=self.PAUSE)
        assert here.subjects == ["flows have stopped themselves"]
        assert "A run has failed." in here.mails[0]["text"]

    def test_the_mail_about_the_error_says_so(self, office: Offices) -> None:
        """One mail in mode every_error."""
        here = office(NotifyMode.EVERY_ERROR)
        here.broken(also=self.PAUSE)
        assert here.subjects == [FAILED]
        assert "all scheduled flows of acme" in here.mails[0]["text"]

    def test_it_is_told_once_until_somebody_starts_them_again(self, office: Offices) -> None:
        """Other runs that fail meanwhile say nothing new; flows that are started and stop again do."""
        here = office(NotifyMode.CONNECTION_FAILURES)
        earlier = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
        here.broken(also=self.PAUSE)
        here.broken(also={**self.PAUSE, ("ready", xcoms.ASKED_AT): earlier.isoformat()})
        assert len(here.subjects) == 1
        here.broken(also=self.PAUSE)
        assert here.subjects == ["flows have stopped themselves"] * 2

    def test_it_names_the_flows_that_are_switched_on(self, office: Offices) -> None:
        """Of those that run by themselves, as the specs have them: what is off already is not stopped by it."""
        here = office(NotifyMode.CONNECTION_FAILURES)
        here.off = frozenset({"acme.QBItem2CRProd"})
        here.broken(also=self.PAUSE)
        text = here.mails[0]["text"]
        assert "all scheduled flows of acme that were switched on (acme." in text
        assert "acme.CRAcctOpp2QBCustInv" in text
        assert "acme.QBItem2CRProd" not in text.partition("How to go on")[0]
        assert "acme.CRAcctOpp2QBCustInvDR" not in text

    @pytest.mark.feature("R1")
    @pytest.mark.parametrize("mode", [NotifyMode.EVERY_ERROR, NotifyMode.FULL_DAILY_REPORT])
    def test_a_counter_that_is_reached_is_told(self, office: Offices, mode: NotifyMode) -> None:
        """The run went well, and no other one follows."""
        here = office(mode)
        why = f"acme.{FLOW} has completed 5 of 5 runs."
        here.run(None, {("report", xcoms.PAUSE): {"dags": [f"acme.{FLOW}"], "why": why}})
        assert here.subjects == [f"{FLOW} has stopped itself"]
        assert why in here.mails[0]["text"]
        assert here.ledger.alarms("acme") == []

    def test_a_run_that_could_not_report_is_told_from_elsewhere(self, office: Offices) -> None:
        """By the triggerer: with a mail a run, what people read in the list of deeds, and an alarm that stands."""
        here = office(NotifyMode.CONNECTION_FAILURES)
        told = {"company": "acme", "flow": FLOW, "why": "A run has failed before it could report."}
        for run_id in ("manual__1", "manual__1", "manual__2"):
            asyncio.run(note_stopped(**told, dag_run_id=run_id, stopped=[f"acme.{FLOW}"]))
        assert here.subjects == ["flows have stopped themselves"] * 2
        assert f"acme.{FLOW}" in here.mails[0]["text"]
        assert here.mails[0]["recipients"]
        assert [each.key for each in here.ledger.alarms("acme")] == ["stopped"]
        assert here.ledger.deeds("acme")[0].detail["flows"] == [f"acme.{FLOW}"]


class TestByHand:
    """Utility flows: each run is of its own."""

    def test_a_name_that_is_mistyped_is_told_once_a_run_and_lasts_no_longer(self, office: Offices) -> None:
        """Another name may be mistyped just so; no alarm stands until some other run goes well."""
        here = office(NotifyMode.EVERY_ERROR)
        here.flow = here.flow.model_copy(update={"flow": "QBItem2CRProdNF", "kind": FlowKind.NF})
        error = {"error": "FixRecord", "code": "iw.not_found", "message": "No record has that name.", "advice": ""}
        wrong = ["items: FixRecord: [iw.not_found] No record has that name."]
        failed = "QBItem2CRProdNF: failed, No record has that name."
        here.run(wrong, {("items", ERROR_KEY): error})
        here.runs -= 1
        here.run(wrong, {("items", ERROR_KEY): error})  # the same run's report, cleared
        assert here.subjects == [failed]
        here.run(wrong, {("items", ERROR_KEY): error})
        assert here.ledger.alarms("acme") == []
        here.run()
        assert here.subjects == [failed, failed]


class TestDaily:
    """The report of the day."""

    def test_it_says_what_was_done_what_is_open_and_what_was_settled(self, office: Offices) -> None:
        """A record that is fixed by a later run is settled; one that still fails is open; runs are counted."""
        here = office(NotifyMode.FULL_DAILY_REPORT)
        here.rejected("i1", "i2")
        here.run(decisions=[ledger_kit.quiet(Action.UNCHANGED, "i2"), ledger_kit.quiet(Action.SKIP, "i3")])
        here.broken()
        here.away()
        here.report()
        (found,) = here.mails
        assert "Daily report: 2 failed runs, 1 open record" in found["subject"]
        text = found["text"]
        assert f"{FLOW}: 4 runs, 2 failed, 1 unchanged, 1 skipped, 2 rejected" in text
        assert "STILL OPEN: 1" in text
        assert "SETTLED: 1" in text
        assert "id i1" in text
        assert f"(items): fixed by {FLOW}" in text
        assert "TheBooks could not be reached from" in text
        assert "until now: Nobody answers." in text

    def test_a_quiet_day_is_a_full_report_and_no_report_of_errors(self, office: Offices) -> None:
        """A report of errors alone comes when there are some."""
        for mode, wanted in ((NotifyMode.ERROR_DAILY_REPORT, []), (NotifyMode.FULL_DAILY_REPORT, ["all is well"])):
            here = office(mode)
            here.run()
            here.report()
            assert [subject.partition(": ")[2].partition(",")[0] for subject in here.subjects] == wanted

    def test_a_company_that_has_never_run_has_no_report(self, office: Offices) -> None:
        """The first report comes after the first run."""
        here = office(NotifyMode.FULL_DAILY_REPORT)
        here.report()
        assert here.subjects == []

    def test_it_is_about_its_day(self, office: Offices) -> None:
        """Runs that ended before are in another report; what is open is open."""
        here = office(NotifyMode.FULL_DAILY_REPORT)
        here.rejected("i1")
        now = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
        window = (now - dt.timedelta(days=1), now)
        queue_report(here.ledger, here.flow.company, LABELS, window, "scheduled__2", TEMPLATES)
        flush(here.ledger, "acme")
        assert "No run ended in this time." in here.mails[0]["text"]
        assert "STILL OPEN: 1" in here.mails[0]["text"]

    def test_it_sends_what_was_left(self, office: Offices) -> None:
        """Mails that a server did not take during the day go with the report, in front of it."""
        here = office(NotifyMode.CONNECTION_FAILURES_AND_FULL_DAILY_REPORT)
        here.mail.arm("smtp_away", times=2)
        here.away()
        assert here.subjects == []
        here.report()
        assert [subject.partition(":")[0] for subject in here.subjects] == [LOST, "Daily report"]


class TestTrouble:
    """Nothing about mails fails a run."""

    def test_a_server_that_is_away_costs_nothing(self, office: Offices) -> None:
        """The mail waits, the run goes on, and the next run sends it."""
        here = office()
        here.mail.arm("smtp_away", times=2)
        here.broken()
        assert here.subjects == []
        here.run()
        assert here.subjects == [FAILED, AGAIN]

    def test_whatever_goes_wrong_is_in_the_log_alone(self, office: Offices, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error of our own, or of the ledger, does not reach the task."""
        here = office()

        def fail(*_: object, **__: object) -> None:
            msg = "unexpected"
            raise RuntimeError(msg)

        monkeypatch.setattr(OwnLedger, "new_failures", fail)
        with capture_logs() as logs:
            here.run()
        assert "mails of the run could not be made" in [each["event"] for each in logs]

    def test_a_recipient_that_is_refused_keeps_nobody_else_from_it(self, office: Offices) -> None:
        """The others get the mail; BCC gets it and is in no header."""
        here = office(cc=("gone@acme.example",), bcc=("quiet@acme.example",))
        here.mail.arm("smtp_reject", match="gone@acme.example")
        here.broken()
        (found,) = here.mails
        assert found["recipients"] == ["ops@acme.example", "quiet@acme.example"]
        assert "quiet@" not in str(found["headers"])
        assert here.ledger.mails("acme")[0].error.startswith("gone@acme.example: 550")
