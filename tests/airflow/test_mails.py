"""E-mail in Airflow's own task runner: what runs send, the DAG of the daily report, the deadline's callback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID
from airflow.serialization.serialized_objects import DagSerialization

from iw_operators.dag import build_dag
from iw_operators.errors import ConnectionFailure, StopFlow
from iw_operators.reports import build_report
from iw_operators.spec.models import Notify, NotifyMode, StopScheduled
from iw_operators.spec.resolved import ResolvedFlow
from sandbox.mail import RunningMail, airflow_connection, serve_mail

if TYPE_CHECKING:
    from tests.airflow.conftest import World

Flows = Callable[..., ResolvedFlow]
DAGS = Path(__file__).resolve().parents[2] / "dags"

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.feature("R8"),
    pytest.mark.usefixtures("metadata"),
    pytest.mark.filterwarnings("ignore"),  # of the API server that Airflow runs inside this process
    pytest.mark.filterwarnings(r"error:::iw_operators\..*"),
]


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningMail]:
    """A mail server behind Airflow's connection."""
    with serve_mail() as running:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(airflow_connection(running.smtp_port)))
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.acme.example/")
        yield running


def notified(flow: ResolvedFlow, mode: NotifyMode, **company: object) -> ResolvedFlow:
    """Return a flow whose company has a mode."""
    notify = Notify(mode=mode, admin=("ops@acme.example",))
    changed = flow.company.model_copy(update={"notify": notify, **company})
    return flow.model_copy(update={"company": changed})


def subjects(mail: RunningMail) -> list[str]:
    """Return the subjects of the mails that arrived, oldest first."""
    return [each["subject"] for each in mail.sandbox.store.all()]


def state(run: DagRun) -> str:
    """Return how a run ended."""
    return str(run.state)


@pytest.mark.feature("R7", "E2")
def test_an_outage_and_its_end(world: World, make_flow: Flows, mail: RunningMail) -> None:
    """A system that stays away: one mail, with what stopped and how to go on; one when it is back."""
    flow = notified(
        make_flow(mappings=("customers",)),
        NotifyMode.CONNECTION_FAILURES,
        stop_scheduled=StopScheduled.AFTER_CONNECTION_FAILURE,
    )
    world.books.errors["check"] = [ConnectionFailure("Nobody answers at books.example.") for _ in range(3)]
    assert [state(world.run(flow)) for _ in range(2)] == ["failed", "success"]
    lost, back = mail.sandbox.store.all()
    assert lost["subject"] == "[acme, development] AnyBooks cannot be reached"
    assert back["subject"].startswith("[acme, development] AnyBooks is back after")
    assert "Nobody answers at books.example." in lost["text"]
    assert "all scheduled flows of acme" in lost["text"]
    assert re.search(r"https://airflow\.acme\.example/dags/acme\.CRAcct2QBCust/runs/\S+", lost["text"])


def test_errors_and_records(world: World, make_flow: Flows, mail: RunningMail) -> None:
    """A mapping that fails is told with code and advice; a record that is rejected with its name and advice."""
    flow = notified(make_flow(mappings=("customers",)), NotifyMode.EVERY_ERROR)
    world.crm.errors["changes"] = [StopFlow("The balance is off.", code="iw.balance", advice="Look at the log.")]
    assert state(world.run(flow)) == "failed"
    world.crm.add("a1", "Jane, 4111 1111 1111 1111")
    assert state(world.run(flow)) == "success"
    failed, again, rejected = mail.sandbox.store.all()
    assert failed["subject"] == "[acme, development] CRAcct2QBCust: failed, The balance is off."
    assert "[iw.balance]" in failed["text"]
    assert "Look at the log." in failed["text"]
    assert again["subject"].endswith("CRAcct2QBCust works again")
    assert "CRAcct2QBCust: rejected: Jane, " in rejected["subject"]
    assert "4111 1111" not in str(rejected)
    assert "iw.card_number" in rejected["text"]


def test_a_mail_server_that_is_away_fails_no_run(world: World, make_flow: Flows, mail: RunningMail) -> None:
    """Neither one that hangs up nor a connection that does not exist; the mails wait."""
    flow = notified(make_flow(mappings=("customers",)), NotifyMode.EVERY_ERROR)
    world.crm.add("a1", "4111 1111 1111 1111")
    mail.arm("smtp_away", times=-1)
    assert state(world.run(flow)) == "success"
    assert subjects(mail) == []
    assert len(world.ledger.mails("acme", unsent=True)) == 1


def test_the_daily_report(world: World, make_flow: Flows, mail: RunningMail) -> None:
    """The DAG of the report tells of the runs before it; a run by hand is about the last 24 hours."""
    flow = notified(make_flow(mappings=("customers",)), NotifyMode.FULL_DAILY_REPORT)
    world.crm.add("a1", "Ångström")
    world.run(flow)
    done = world.test(build_report(flow.company, {"crm": "AnyCRM", "books": "AnyBooks"}))
    assert state(done) == "success"
    (report,) = mail.sandbox.store.all()
    assert report["subject"].startswith("[acme, development] Daily report: all is well")
    assert "CRAcct2QBCust: 1 run, 1 created" in report["text"]


class TestDags:
    """What the DAG files make of the settings."""

    @pytest.fixture
    def specs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A company that wants a report at half past seven in the morning."""
        folder = tmp_path / "north"
        folder.mkdir()
        (folder / "company.yaml").write_text(
            "company: north\ncrm: {system: creatio, connection: north_crm}\n"
            "books: {system: quickbooks_online, connection: north_books}\ntime_zone: America/New_York\n"
            'notify: {mode: full_daily_report, admin: ops@north.example, report_at: "07:30"}\n'
        )
        (folder / "customers.yaml").write_text("mapping: customers\ncrm: Account\nbooks: Customer\nutilities: false\n")
        (folder / "flows.yaml").write_text("flows:\n  CRAcct2QBCust: {mappings: [customers], deadline_minutes: 5}\n")
        monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(tmp_path))
        return folder

    def test_the_report_runs_each_day_at_its_time(self, specs: Path) -> None:
        """In the company's time zone, switched on from the beginning, in the company's pool."""
        bag = DagBag(DAGS, safe_mode=True)
        assert bag.import_errors == {}
        dag = bag.dags["north.DailyReport"]
        schedule: Any = dag.timetable
        assert (schedule.expression, str(schedule.timezone)) == ("30 7 * * *", "America/New_York")
        assert dag.is_paused_upon_creation is False
        assert {task.pool for task in dag.tasks} == {"iw_north"}
        assert "daily report" in dag.tags
        DagSerialization.validate_schema(DagSerialization.to_dict(dag))

    def test_a_worker_builds_the_report_alone(self, specs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing else is built for it, and it is not built for others."""
        for name in ("north.DailyReport", "north.CRAcct2QBCust"):
            monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, name)
            assert set(DagBag(DAGS / "interweave.py").dags) == {name}

    @pytest.mark.parametrize("mode", ["none", "connection_failures", "every_error"])
    def test_there_is_no_report_where_nobody_asks_for_one(self, specs: Path, mode: str) -> None:
        """Modes without a daily report have no DAG for it."""
        text = (specs / "company.yaml").read_text().replace("full_daily_report", mode)
        (specs / "company.yaml").write_text(text)
        assert "north.DailyReport" not in DagBag(DAGS, safe_mode=True).dags

    def test_no_flow_is_called_like_the_report(self, specs: Path) -> None:
        """The error has file and line."""
        (specs / "flows.yaml").write_text("flows:\n  DailyReport: {mappings: [customers]}\n")
        (error,) = DagBag(DAGS, safe_mode=True).import_errors.values()
        assert "flows.yaml:2: flows.DailyReport: is what the company's daily report is called" in error

    def test_a_mode_that_tells_nobody_is_refused(self, specs: Path) -> None:
        """A mode without an address would be silence by mistake."""
        text = (specs / "company.yaml").read_text().replace("admin: ops@north.example, ", "")
        (specs / "company.yaml").write_text(text)
        (error,) = DagBag(DAGS, safe_mode=True).import_errors.values()
        assert "mode full_daily_report names nobody to write to" in error

    def test_the_deadline_carries_what_its_mail_needs(self, make_flow: Flows) -> None:
        """The settings of the company without what belongs to connections' secrets; nothing without a mode."""
        flow = make_flow(mappings=("customers",), deadline_minutes=5)
        for mode, names in ((NotifyMode.NONE, set()), (NotifyMode.EVERY_ERROR, {"company", "flow", "minutes"})):
            deadline = build_dag(notified(flow, mode)).deadline
            alert = deadline[0] if isinstance(deadline, list) else deadline
            assert alert
            assert set(alert.callback.kwargs or {}) == names
            json.dumps(alert.callback.kwargs)
