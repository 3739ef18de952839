"""Task logs as Airflow's REST API gives them."""

from __future__ import annotations

import json

import pytest

from tests.e2e.logs import assert_no_customer_data
from tests.e2e.running import Run, Site

pytestmark = [pytest.mark.e2e, pytest.mark.feature("R9")]


def test_one_summary_a_page_with_progress(site: Site, first: dict[str, Run]) -> None:
    """At INFO a mapping logs each page once, with what became of its records and how fast, and a line at its end."""
    run = first["CRAcctOpp2QBCustInv"]
    for mapping, counts in site.counts(run).items():
        events = site.events(run, mapping)
        pages = [event for event in events if event["event"] == "page done"]
        assert [page["page"] for page in pages] == list(range(1, len(pages) + 1))
        assert pages[-1]["records"] == counts["read"]
        assert pages[-1]["per_second"] > 0
        (done,) = [event for event in events if event["event"] == "mapping done"]
        assert {name: done[name] for name in counts if name != "read"} | {"read": done["records"]} == counts
        assert done["fingerprint"] == site.spec.mappings[mapping].fingerprint


def test_one_line_a_record_at_debug(site: Site, first: dict[str, Run]) -> None:
    """With DEBUG switched on for the module, each record has one line: ids, action and field names, no content."""
    run = first["CRAcctOpp2QBCustInv"]
    records = [event for event in site.events(run, "items") if event["event"] == "record"]
    assert {event["level"] for event in records} == {"debug"}
    assert len({event["source_id"] for event in records}) == site.counts(run)["items"]["read"]
    assert_no_customer_data(json.dumps(records, ensure_ascii=False))


@pytest.mark.feature("E2")
def test_the_report_tells_rejections_by_code_and_advice(site: Site, first: dict[str, Run]) -> None:
    """The last task's log sums up every mapping and says what to do about what was rejected, without names."""
    run = first["CRAcctOpp2QBCustInv"]
    events = site.events(run, "report")
    summed = {event["mapping"]: event for event in events if event["event"] == "mapping"}
    for mapping, counts in site.counts(run).items():
        assert {name: summed[mapping][name] for name in counts} == counts
    rejected = [event for event in events if event["event"] == "rejected"]
    assert rejected
    assert all(event["code"] and event["advice"] for event in rejected)


def test_no_customer_data_above_debug(site: Site, first: dict[str, Run]) -> None:
    """No event of any task, at whatever level, holds a name, an address, a phone number or a secret."""
    for run in first.values():
        for task, instance in site.tasks(run).items():
            for attempt in range(1, instance["try_number"] + 1):
                assert_no_customer_data(json.dumps(site.events(run, task, attempt), ensure_ascii=False))
