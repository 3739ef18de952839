"""What somebody reads when a connection, a server or a spec is wrong: in the task's log, the ledger, Airflow's list."""

from __future__ import annotations

import re

import pytest

from tests.e2e.companies import BROKEN, FLOW, WRONG
from tests.e2e.running import Run, Site

pytestmark = pytest.mark.e2e

WORDS = {
    "noconn": r"no Airflow connection 'noconn_books'",
    "nopass": r"Creatio.*(user|password)",
    "nosecret": r"(?i)client (id|secret)|invalid_client",
    "down": r"Creatio.*(refused|not be reached|cannot be reached|does not answer)",
    "htmlcrm": r"not Creatio's sign-in",
    "htmlbooks": r"QuickBooks Online.*HTML",
}
RETRIED = {"down": 3, "htmlbooks": 3}  # attempts: what may be cured by waiting is tried again


@pytest.fixture(scope="module")
def runs(site: Site) -> dict[str, Run]:
    """One run of each company that has something wrong, all at the same time."""
    begun = {company: site.start(FLOW, company=company) for company in WRONG}
    return {company: site.finish(run) for company, run in begun.items()}


@pytest.mark.feature("R9", "R15", "E2")
@pytest.mark.parametrize("company", WRONG)
def test_log_and_ledger_say_what_is_wrong(site: Site, runs: dict[str, Run], company: str) -> None:
    """The run fails with one clear message, the same in the log of `ready` and the ledger, without secrets."""
    run = runs[company]
    assert run.state == "failed"
    tasks = site.tasks(run)
    assert {name: task["state"] for name, task in tasks.items()} == {
        "ready": "failed",
        "items": "upstream_failed",
        "report": "failed",
    }
    attempts = tasks["ready"]["try_number"]
    assert attempts == RETRIED.get(company, 1)
    told = [event for event in site.events(run, "ready", attempts) if event.get("level") == "error"]
    assert re.search(WORDS[company], told[0]["event"]), told[0]
    assert told[0]["advice"]
    row = site.row(run)
    assert row.state == "failed"
    assert told[0]["event"] in row.error
    assert told[0]["advice"] in row.error
    everything = str(site.events(run, "ready", attempts)) + row.error
    for secret in ("not the password", "not the secret", "iw-secret", "iw-refresh", "Supervisor1!"):
        assert secret not in everything


def test_the_log_of_an_expected_failure_has_no_trace_of_our_code(site: Site, runs: dict[str, Run]) -> None:
    """Where in our code an expected failure came up helps nobody who reads the log."""
    for event in site.events(runs["nopass"], "ready"):
        frames = [frame for detail in event.get("error_detail") or [] for frame in detail.get("frames", [])]
        assert not [frame for frame in frames if "iw_operators/systems" in frame["filename"]]


def test_a_broken_spec_is_an_import_error_with_file_and_line(site: Site) -> None:
    """The error names file, line, what is wrong and what was meant; the broken DAG is missing, all others stay."""
    (error,) = site.airflow.get("/importErrors")["import_errors"]
    assert error["filename"].endswith("interweave_errors.py")
    assert re.search(r"broken/items\.yaml:\d+: bind\.bye: .*did you mean .?by", error["stack_trace"], re.IGNORECASE)
    dags = site.stack.dags()
    wanted = {flow.dag_id for flow in site.spec.flows.values()} | {f"{company}.{FLOW}" for company in WRONG}
    assert wanted <= dags
    assert not [dag for dag in dags if dag.startswith(BROKEN)]
