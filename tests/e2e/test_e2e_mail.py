"""E-mail on a real Airflow: in each mode an outage and its end, an error, the daily report, and a missed deadline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from iw_operators.notify.routing import report_kind
from iw_operators.spec.flows import REPORT_FLOW
from iw_operators.spec.models import NotifyMode
from sandbox import creatio, quickbooks_online
from tests.e2e.companies import FLOW, mode_address, mode_company
from tests.e2e.running import BOOKS, CRM, Run, Site, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.feature("R8"),
    pytest.mark.timeout(600),
]  # twenty-five runs, one after the other


NAME: Final = "An item that nobody has"
LOST, BACK, ERROR, LATE = "cannot be reached", "is back after", f"{FLOW}NF: failed", "is not done within 1 minute"
REPORT, ERRORS = "Daily report: 2 failed runs", "Error report: 2 failed runs"
ARRIVES: Final[dict[NotifyMode, set[str]]] = {
    NotifyMode.NONE: set(),
    NotifyMode.CONNECTION_FAILURES: {LOST, BACK, LATE},
    NotifyMode.EVERY_ERROR: {LOST, BACK, ERROR, LATE},
    NotifyMode.CONNECTION_FAILURES_AND_FULL_DAILY_REPORT: {LOST, BACK, REPORT, LATE},
    NotifyMode.CONNECTION_FAILURES_AND_ERROR_DAILY_REPORT: {LOST, BACK, ERRORS, LATE},
    NotifyMode.ERROR_DAILY_REPORT: {ERRORS, LATE},
    NotifyMode.FULL_DAILY_REPORT: {REPORT, LATE},
}


def _mails(site: Site, address: str) -> list[dict[str, Any]]:
    found = httpx.get(f"{site.stack.sandboxes.url('mail')}/messages", params={"to": address}, timeout=30)
    return list(found.json())


def _run_all(site: Site, flow: str, modes: list[NotifyMode], conf: dict[str, str] | None = None) -> dict[str, str]:
    """Run a flow of each mode's company, all at the same time; return how each ended."""
    begun = {mode: site.start(flow, conf, company=mode_company(mode)) for mode in modes}
    return {mode.value: site.finish(run).state for mode, run in begun.items()}


@pytest.fixture(scope="module")
def late(site: Site) -> Iterator[list[Run]]:
    """A run of each company that has been waiting for more than a minute: its flow is switched off."""
    waiting = []
    for mode in NotifyMode:
        dag_id = f"{mode_company(mode)}.{FLOW}"
        waiting.append(Run(dag_id, site.airflow.trigger(dag_id), ""))
    yield waiting
    for run in waiting:
        site.airflow.api("DELETE", run.path)


@pytest.fixture(scope="module")
def days(site: Site, late: list[Run]) -> None:
    """What happened: both connections missing, then a run that fails for another reason, then the report of the day."""
    everyone = list(NotifyMode)
    assert set(_run_all(site, f"{FLOW}NF", everyone, {"full_name": NAME}).values()) == {"failed"}
    made = {}
    for mode in everyone:
        made[f"{mode_company(mode)}_crm"] = creatio.airflow_connection(site.stack.sandboxes.url(CRM))
        made[f"{mode_company(mode)}_books"] = quickbooks_online.airflow_connection(site.stack.sandboxes.url(BOOKS))
    site.airflow.connect(made)
    assert set(_run_all(site, f"{FLOW}NF", everyone, {"full_name": NAME}).values()) == {"failed"}
    reporting = [mode for mode in everyone if report_kind(_notify(mode))]
    assert set(_run_all(site, REPORT_FLOW, reporting).values()) == {"success"}


def _notify(mode: NotifyMode) -> Any:
    from iw_operators.spec.models import Notify

    return Notify(mode=mode, admin=(mode_address(mode),))


@pytest.mark.usefixtures("days")
@pytest.mark.parametrize("mode", list(NotifyMode))
def test_what_arrives_in_each_mode(site: Site, mode: NotifyMode) -> None:
    """Exactly the mails of the mode, one of each, to the administrator and, unseen, to BCC."""
    wanted, address = ARRIVES[mode], mode_address(mode)
    until(lambda: len(_mails(site, address)) >= len(wanted), f"{len(wanted)} mails to {address}")
    mails = _mails(site, address)
    told = {each for each in wanted if any(each in mail["subject"] for mail in mails)}
    assert told == wanted, [mail["subject"] for mail in mails]
    assert len(mails) == len(wanted)
    for mail in mails:
        assert mail["subject"].startswith(f"[{mode_company(mode)}, development] ")
        assert mail["recipients"] == [address, f"bcc.{address}"]
        assert "bcc." not in str(mail["headers"])
        assert mail["text"]
        assert mail["html"]


@pytest.mark.feature("E2")
@pytest.mark.usefixtures("days")
def test_an_error_mail_has_code_advice_and_links(site: Site) -> None:
    """What happened, what to do about it, the run in Airflow and its record log."""
    (mail,) = [each for each in _mails(site, mode_address(NotifyMode.EVERY_ERROR)) if ERROR in each["subject"]]
    assert "iw.not_found" in mail["text"]
    assert "What to do: " in mail["text"]
    dag_id = f"{mode_company(NotifyMode.EVERY_ERROR)}.{FLOW}NF"
    assert f"{site.airflow.url}/dags/{dag_id}/runs/manual__" in mail["text"]
    (link,) = [line.partition(": ")[2] for line in mail["text"].splitlines() if line.startswith("Record log: ")]
    assert link.startswith(f"{site.airflow.url}/iwmgr/")


@pytest.mark.usefixtures("days")
def test_nothing_is_left_in_the_outbox(site: Site) -> None:
    """Every mail that was queued has gone."""
    for mode in NotifyMode:
        company = mode_company(mode)
        until(lambda company=company: not site.stack.ledger.mails(company, unsent=True), f"{company}'s mails")  # type: ignore[misc]  # binds the loop's value
