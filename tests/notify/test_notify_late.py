"""What arrives of runs that take too long, or wait for a worker that is away: told by the triggerer."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from iw_operators import site
from iw_operators.deadlines import told_of
from iw_operators.spec.models import NotifyMode, SiteWorker, SleepWindow
from tests.notify.office import FLOW, Office
from tests.notify.test_notify_runs import LATE, mail, office

pytestmark = [pytest.mark.ledger, pytest.mark.sandbox, pytest.mark.feature("R8")]

__all__ = ["mail", "office"]  # fixtures

Offices = Callable[..., Office]


class TestDeadline:
    """A run that takes longer than its flow allows."""

    def test_a_failed_run_is_not_told(self, office: Offices) -> None:
        """It has its own report; one that is still at work is told, once."""
        here = office(NotifyMode.FULL_DAILY_REPORT)
        here.run()
        here.late("failed")
        assert here.subjects == []
        here.late()
        here.late()
        assert here.subjects == [LATE]
        assert "and is running" in here.mails[0]["text"]

    def test_a_run_that_was_stopped_is_not_told(self, office: Offices) -> None:
        """Airflow holds it to be running still, and so it stays until somebody starts the flow."""
        here = office(NotifyMode.FULL_DAILY_REPORT)
        here.ledger.end_run(here.run(), "stopped", error=f"acme.{FLOW} was switched off.")
        here.late()
        assert here.subjects == []

    def test_in_a_maintenance_none_is_told(self, office: Offices) -> None:
        """Nothing is to be done in time then."""
        here = office(NotifyMode.FULL_DAILY_REPORT)
        here.run()
        here.ledger.begin_maintenance("acme", "ann")
        here.late()
        assert here.subjects == []
        here.ledger.end_maintenance("acme", "ann")
        here.late()
        assert here.subjects == [LATE]

    def test_without_a_mode_nothing_is_stored_and_nothing_sent(self, office: Offices) -> None:
        """The DAG of a company without mails carries nothing about them."""
        here = office(NotifyMode.NONE)
        assert told_of(here.flow) == {}
        with capture_logs() as logs:
            here.late()
        assert [each["event"] for each in logs] == ["deadline missed"]

    def test_trouble_with_mails_fails_nothing(self, office: Offices, monkeypatch: pytest.MonkeyPatch) -> None:
        """A ledger that cannot be opened is told in the log."""
        here = office(NotifyMode.FULL_DAILY_REPORT)
        monkeypatch.setenv("AIRFLOW_CONN_IW_LEDGER", json.dumps({"conn_type": "postgres"}))
        with capture_logs() as logs:
            here.late()
        assert [each["event"] for each in logs] == ["deadline missed", "mail of a missed deadline could not be made"]


class TestWorkerAway:
    """A worker at the customer's site that takes nothing up."""

    @pytest.fixture
    def here(self, office: Offices) -> Office:
        """A company with such a worker."""
        made = office(NotifyMode.CONNECTION_FAILURES)
        company = made.flow.company.model_copy(update={"worker": SiteWorker(queue="branch")})
        made.flow = made.flow.model_copy(update={"company": company})
        return made

    def waits(self, here: Office, **company: Any) -> None:
        """Let a run wait for longer than it is to."""
        settings = here.flow.company.model_copy(update=company).dumped()
        run = {"dag_run_id": "manual__9", "state": "running"}
        asyncio.run(site.note_away({"dag_run": run}, settings, FLOW))

    def test_it_is_told(self, here: Office) -> None:
        """Once, however many runs wait."""
        self.waits(here)
        self.waits(here)
        assert here.subjects == ["The worker at the site (queue branch) cannot be reached"]

    def test_who_waits_in_a_maintenance_waits_for_its_end(self, here: Office) -> None:
        """The worker may be there: it looks, and leaves no trace of it."""
        here.ledger.begin_maintenance("acme", "ann")
        self.waits(here)
        assert (here.subjects, here.ledger.alarms("acme")) == ([], [])

    def test_who_waits_in_the_sleep_window_waits_for_its_end(self, here: Office) -> None:
        """The same, every night."""
        now = dt.datetime.now(dt.UTC)
        times = [(now + dt.timedelta(hours=hours)).time().replace(microsecond=0) for hours in (-1, 1)]
        window = SleepWindow.model_validate(dict(zip(("from", "to"), times, strict=True)))
        self.waits(here, sleep_window=window, time_zone="UTC")
        assert (here.subjects, here.ledger.alarms("acme")) == ([], [])
