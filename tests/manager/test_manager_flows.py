"""The monitor, the two tables and the page of one flow: what they say, and what their buttons do."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from iw_operators.ledger.store import Ledger
from tests.manager.conftest import People
from tests.manager.seed import FLOW, STARTS, long_load, seed

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R11")]
DAG_ID = f"acme.{FLOW}"


def switch(metadata: Session, dag_id: str, *, on: bool) -> None:
    """Do in Airflow what its own switch does."""
    metadata.execute(sa.text("UPDATE dag SET is_paused = :off WHERE dag_id = :dag"), {"off": not on, "dag": dag_id})
    metadata.commit()


def at_work(metadata: Session, dag_id: str, run_id: str, task: str = "customers", state: str = "running") -> None:
    """Let Airflow have a run of a DAG with one task in a state."""
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    now = dt.datetime.now(dt.UTC)
    version = DagVersion.get_latest_version(dag_id, session=metadata)
    assert version is not None
    run = DagRun(
        dag_id=dag_id,
        run_id=run_id,
        run_type=DagRunType.MANUAL,
        state=DagRunState.RUNNING,
        run_after=now,
        start_date=now,
    )
    run.created_dag_version_id = version.id
    metadata.add(run)
    metadata.flush()
    row = {
        "id": uuid.uuid4(),
        "task_id": task,
        "dag_id": dag_id,
        "run_id": run_id,
        "map_index": -1,
        "state": state,
        "start_date": now,
        "try_number": 1,
        "max_tries": 0,
        "pool": "default_pool",
        "pool_slots": 1,
        "priority_weight": 1,
        "dag_version_id": version.id,
    }
    metadata.execute(sa.insert(TaskInstance.__table__).values(**row))
    metadata.commit()


def row(page: str, flow: str) -> str:
    """Return a flow's row of the tables, as text."""
    found = re.search(rf'<tr id="flow-{flow}".*?</tr>', page, re.DOTALL)
    assert found, f"no row of {flow}"
    return " ".join(re.sub(r"<[^>]*>", " ", found[0]).split())


class TestTables:
    """Two tables, as customers know them."""

    def test_a_scheduled_flow_says_what_operators_ask(self, people: People, ledger: Ledger, metadata: Session) -> None:
        """Interval, shift, Query Starts in the company's zone, counter, last run with counts, open failures."""
        seed(ledger)
        switch(metadata, DAG_ID, on=True)
        text = row(people.get("view", "/c/acme").text, FLOW)
        for part in ("STARTED", "10 min", "1 min", "2026-03-08 07:50:00", "1 of 5", "✓ done", "6 read", "3 created"):
            assert part in text, part
        assert "1 updated 1 rejected 1 held" in text
        assert "2 failed" in text

    def test_utility_flows_are_grouped_by_mapping(self, people: People) -> None:
        """The second table has a group for each mapping and direction, with a flow of every usual kind."""
        page = people.get("view", "/c/acme").text
        tables = page.split("Utility flows")
        assert len(tables) == 2
        assert FLOW in tables[0]
        groups = re.findall(r"data-fold[^>]*>([^<]*)", tables[1])
        assert [group.strip() for group in groups] == [
            "customers: Creatio to QuickBooks Online",
            "customers: QuickBooks Online to Creatio",
        ]
        for suffix in ("N", "NF", "NFS", "DR", "DRS", "Bind"):
            assert f'id="flow-{FLOW}{suffix}"' in tables[1]
        assert f'id="flow-{FLOW}Q"' in tables[0]

    @pytest.mark.parametrize(
        ("on", "working", "state"),
        [
            (False, False, "STOPPED"),
            (True, False, "STARTED"),
            (True, True, "RUNNING"),
            (False, True, "COMPLETING"),
        ],
    )
    def test_states(self, people: People, metadata: Session, on: bool, working: bool, state: str) -> None:
        """A flow's state is a word, a colour and a shape."""
        switch(metadata, DAG_ID, on=on)
        if working:
            at_work(metadata, DAG_ID, "manual__1")
        page = people.get("view", "/c/acme").text
        assert state in row(page, FLOW)
        assert re.search(rf'<tr id="flow-{FLOW}" class="r-{state.lower()}" data-state="{state}"', page)

    def test_a_frozen_run_is_told(self, people: People, metadata: Session) -> None:
        """What is held up after a pause is said where the flow is."""
        at_work(metadata, DAG_ID, "manual__1", state="scheduled")
        text = row(people.get("view", "/c/acme").text, FLOW)
        assert "STOPPED" in text
        assert "⚠" in text

    @pytest.mark.feature("R14")
    def test_a_long_load_shows_its_progress(self, people: People, ledger: Ledger, metadata: Session) -> None:
        """Records done and left, rate, and time to go stand beside a load at work."""
        long_load(ledger)
        switch(metadata, "acme.QBCust2CRAcctDRS", on=True)
        at_work(metadata, "acme.QBCust2CRAcctDRS", "manual__7")
        text = row(people.get("view", "/c/acme").text, "QBCust2CRAcctDRS")
        assert "41,200 of 120,000, 78,800 left, 98.1/s, 13 min 23 s to go" in text

    def test_a_flow_that_airflow_has_not_read(self, people: People, metadata: Session) -> None:
        """A flow without a DAG is listed, says so, and has no buttons."""
        metadata.execute(sa.text("UPDATE dag SET is_stale = true WHERE dag_id = :dag"), {"dag": DAG_ID})
        metadata.commit()
        try:
            page = people.get("ada", "/c/acme").text
            assert f"/flow/{DAG_ID}/start" not in page
            assert f"/flow/{DAG_ID}/stop" not in page
        finally:
            metadata.execute(sa.text("UPDATE dag SET is_stale = false"))
            metadata.commit()


class TestLive:
    """Parts that have changed are exchanged, the others are left alone."""

    def test_nothing_new(self, people: People, ledger: Ledger) -> None:
        """A page that is up to date gets nothing."""
        seed(ledger)
        for path in ("", "/c/acme", f"/flow/{DAG_ID}", "/c/acme/company"):
            browser = people.browser("view")
            version = _version(browser.get(f"/iwmgr{path or '/'}").text)
            news = browser.get(f"/iwmgr{path}/live?known={version}").json()
            assert news == {"version": version, "parts": {}, "reload": False}, path

    def test_only_the_row_that_changed(self, people: People, metadata: Session) -> None:
        """After one flow was switched on, its row comes and no other."""
        version = _version(people.get("view", "/c/acme").text)
        switch(metadata, DAG_ID, on=True)
        news = people.get("view", f"/c/acme/live?known={version}").json()
        assert list(news["parts"]) == [f"flow-{FLOW}"]
        assert "STARTED" in news["parts"][f"flow-{FLOW}"]
        assert not news["reload"]

    def test_a_page_from_before_a_restart_gets_everything(self, people: People) -> None:
        """A version that this server does not know is answered with all parts."""
        news = people.get("view", "/c/acme/live?known=nothing").json()
        assert f"flow-{FLOW}" in news["parts"]
        assert "banner" in news["parts"]

    def test_the_monitor_shows_all_companies(self, people: People, ledger: Ledger, metadata: Session) -> None:
        """What is at work anywhere, and the latest runs of all companies, are on one page."""
        seed(ledger)
        seed(ledger, "globex")
        at_work(metadata, f"globex.{FLOW}", "manual__1")
        page = people.get("view", "/").text
        assert 'id="company-acme"' in page
        assert 'id="company-globex"' in page
        now = page.partition('id="now"')[2].partition('id="latest"')[0]
        assert "COMPLETING" in now
        assert page.partition('id="latest"')[2].count("✓ done") == 2


class TestSwitches:
    """Start, stop and run, for one flow or several."""

    def test_start_and_stop(self, people: People, ledger: Ledger, metadata: Session) -> None:
        """The buttons do what Airflow's switch does, and it is kept who pressed them."""
        for action, paused in (("start", False), ("stop", True)):
            answer = people.post("oper", f"/flow/{DAG_ID}/{action}", {"back": "flows"})
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/iwmgr/c/acme?said=")
            assert self._paused(metadata) is paused
        deeds = [(deed.by, deed.what, deed.subject) for deed in ledger.deeds("acme")]
        assert deeds == [("oper", "stopped", FLOW), ("oper", "started", FLOW)]

    def test_several_at_once(self, people: People, metadata: Session) -> None:
        """Ticked flows are started together; those of another company are left out."""
        ticked = [DAG_ID, "acme.QBCust2CRAcct", f"globex.{FLOW}"]
        assert people.post("oper", "/c/acme/flows", {"do": "start", "dag_id": ticked}).status_code == 303
        assert [self._paused(metadata, each) for each in ticked] == [False, False, True]

    def test_nothing_ticked(self, people: People) -> None:
        """Without a tick nothing happens, and the page says so."""
        answer = people.post("oper", "/c/acme/flows", {"do": "stop"})
        page = people.browser("oper").get(answer.headers["location"]).text
        assert "No flow was ticked." in page

    def test_run_now(self, people: People, ledger: Ledger, metadata: Session) -> None:
        """A flow that is on runs once at once; one that is off says that it is stopped."""
        answer = people.post("oper", f"/flow/{DAG_ID}/run")
        assert "is stopped" in people.browser("oper").get(answer.headers["location"]).text
        switch(metadata, DAG_ID, on=True)
        people.post("oper", f"/flow/{DAG_ID}/run")
        assert self._runs(metadata, DAG_ID) == [{}]
        assert ledger.deeds("acme")[0].what == "ran"

    @pytest.mark.parametrize(
        ("suffix", "form", "conf"),
        [
            ("NF", {"names": '  Smith & "Sons" '}, {"full_name": 'Smith & "Sons"'}),
            ("NFS", {"names": "A1\r\n\r\nA2\r\nA1"}, {"names": "A1\nA2"}),
            (
                "DRS",
                {"start": "2026-03-01T00:00", "end": "2026-03-08T03:30:00", "batch_size": "250"},
                {"start": "2026-03-01T05:00:00+00:00", "end": "2026-03-08T07:30:00+00:00", "batch_size": 250},
            ),
            (
                "DR",
                {"start": "2026-11-01T01:30", "end": "2026-11-01T01:30"},
                {"start": "2026-11-01T05:30:00+00:00", "end": "2026-11-01T06:30:00+00:00"},
            ),
            (
                "DR",
                {"start": "2026-03-08T02:30", "end": "2026-03-08T02:30"},
                {"start": "2026-03-08T06:30:00+00:00", "end": "2026-03-08T07:30:00+00:00"},
            ),
            ("F", {}, {}),
        ],
    )
    def test_forms(
        self, people: People, metadata: Session, suffix: str, form: dict[str, str], conf: dict[str, Any]
    ) -> None:
        """Names go as they are written, dates in the company's zone; of an hour that clocks change, the whole."""
        answer = people.post("oper", f"/flow/{DAG_ID}{suffix}/run", form)
        assert answer.status_code == 303
        (given,) = self._runs(metadata, DAG_ID + suffix)
        assert conf.items() <= given.items()
        assert self._paused(metadata, DAG_ID + suffix) is False

    @pytest.mark.parametrize(
        ("suffix", "form"),
        [
            ("NF", {"names": "  "}),
            ("NF", {"names": "A1\nA2"}),
            ("NFS", {"names": "\n".join(str(n) for n in range(201))}),
            ("DR", {"start": "yesterday", "end": "2026-03-08T00:00"}),
            ("DR", {"start": "0001-01-01T00:00", "end": "9999-12-31T23:59"}),
            ("DR", {}),
            ("DRS", {"start": "2026-03-01T00:00", "end": "2026-03-02T00:00", "batch_size": "0"}),
            ("DRS", {"start": "2026-03-01T00:00", "end": "2026-03-02T00:00", "batch_size": "many"}),
        ],
    )
    def test_what_a_form_refuses(self, people: People, metadata: Session, suffix: str, form: dict[str, str]) -> None:
        """A form that says nothing that can be done makes no run."""
        assert people.post("oper", f"/flow/{DAG_ID}{suffix}/run", form).status_code == 422
        assert self._runs(metadata, DAG_ID + suffix) == []

    def test_the_whole_history_asks_for_no_dates(self, people: People) -> None:
        """The page of F has a button that runs all of it, no form to fill in, and the window of a backfill's run."""
        text = people.get("oper", f"/flow/{DAG_ID}F").text
        assert f'formaction="/iwmgr/flow/{DAG_ID}F/run"' in text
        assert 'name="start"' not in text
        assert "<dt>Window of a backfill's run</dt><dd>30d</dd>" in text

    def test_a_range_the_wrong_way_round(self, people: People, metadata: Session) -> None:
        """It is told on the flow's page, and nothing runs."""
        form = {"start": "2026-03-08T00:00", "end": "2026-03-01T00:00"}
        answer = people.post("oper", f"/flow/{DAG_ID}DR/run", form)
        assert "ends before it begins" in people.browser("oper").get(answer.headers["location"]).text
        assert self._runs(metadata, f"{DAG_ID}DR") == []

    def _paused(self, metadata: Session, dag_id: str = DAG_ID) -> bool:
        metadata.rollback()
        return bool(metadata.scalar(sa.text("SELECT is_paused FROM dag WHERE dag_id = :dag"), {"dag": dag_id}))

    def _runs(self, metadata: Session, dag_id: str) -> list[Any]:
        from airflow.models.dagrun import DagRun

        metadata.rollback()
        return list(metadata.scalars(sa.select(DagRun.conf).where(DagRun.dag_id == dag_id)))


@pytest.mark.feature("R2")
class TestQueryStarts:
    """Shown, with its history, and set by hand."""

    def test_set_in_the_companys_zone(self, people: People, ledger: Ledger) -> None:
        """It moves backwards too; who did it stands in its history and among the deeds."""
        seed(ledger)
        people.post("ada", f"/flow/{DAG_ID}/query-starts", {"value": "2026-01-31T23:30:00"})
        assert ledger.query_starts("acme", FLOW) == dt.datetime(2026, 2, 1, 4, 30, tzinfo=dt.UTC)
        (last, first) = ledger.query_starts_history("acme", FLOW)
        assert (last.by, last.old, first.new) == ("ada", STARTS, STARTS)
        page = people.get("view", f"/flow/{DAG_ID}").text
        assert "2026-01-31 23:30:00" in page
        assert "2026-03-08 07:50:00" in page
        assert ledger.deeds("acme", subject=FLOW)[0].what == "query starts set"

    @pytest.mark.parametrize("ahead", [dt.timedelta(minutes=30), dt.timedelta(days=36_000)])
    def test_the_future_is_refused(self, people: People, ledger: Ledger, ahead: dt.timedelta) -> None:
        """A Query Starts that lies ahead, by little or much, would leave changes out without a word."""
        value = (dt.datetime.now(dt.UTC) + ahead).isoformat()
        answer = people.post("ada", f"/flow/{DAG_ID}/query-starts", {"value": value})
        assert "future" in people.browser("ada").get(answer.headers["location"]).text
        assert ledger.query_starts("acme", FLOW) is None

    def test_what_a_run_has_left_is_told(self, people: People, ledger: Ledger) -> None:
        """A run that was at work when somebody set it stands in the history, and has moved nothing."""
        run = ledger.find_run("acme", FLOW, "scheduled__1") or seed(ledger)
        ledger.query_starts_for("acme", FLOW, run)
        people.post("ada", f"/flow/{DAG_ID}/query-starts", {"value": "2026-01-31T23:30:00"})
        ledger.move_query_starts("acme", FLOW, STARTS, by="run scheduled__1", run_id=run)
        history = people.get("view", f"/flow/{DAG_ID}").text.partition("History of Query Starts")[2]
        assert re.search(rf"left as it was set meanwhile</td><td><a [^>]*run={run}\"", history)

    def test_utility_flows_have_none(self, people: People) -> None:
        """Only scheduled flows have Query Starts."""
        value = {"value": "2026-01-01T00:00"}
        assert people.post("ada", f"/flow/{DAG_ID}DR/query-starts", value).status_code == 422
        assert 'id="query-starts"' not in people.get("ada", f"/flow/{DAG_ID}DR").text


class TestFlowPage:
    """Everything about one flow; the same page is a tab of its DAG."""

    def test_runs_with_both_logs(self, people: People, ledger: Ledger) -> None:
        """Each run leads to its records and to Airflow's log."""
        number = seed(ledger)
        page = people.get("view", f"/flow/{DAG_ID}").text
        assert f'href="/iwmgr/c/acme/records?run={number}"' in page
        assert f'href="/dags/{DAG_ID}/runs/scheduled__1" data-airflow-link' in page

    def test_older_runs(self, people: People, ledger: Ledger) -> None:
        """A flow with many runs shows the latest, and leads to the older ones."""
        for number in range(30):
            ledger.begin_run(company="acme", flow=FLOW, dag_run_id=f"r{number}", kind="scheduled", direction="to_books")
        page = people.get("view", f"/flow/{DAG_ID}").text
        older = re.search(r'href="/iwmgr(/flow/[^"]*before=\d+)#runs"', page)
        assert older
        assert "/runs/r29" in page
        assert '/runs/r4"' not in page
        assert '/runs/r4"' in people.get("view", older[1]).text

    def test_the_plugin_has_both_places(self) -> None:
        """Airflow shows the page in its navigation and as a tab of each DAG."""
        from iw_operators.airflow_plugin import InterWeavePlugin

        views = {view["destination"]: view for view in InterWeavePlugin.external_views}
        assert views["nav"]["name"] == "Integration Manager"
        assert "{DAG_ID}" in views["dag"]["href"]
        (app,) = [app for app in InterWeavePlugin.fastapi_apps if app["url_prefix"] == "/iwmgr"]
        assert all(view["href"].startswith(app["url_prefix"].lstrip("/")) for view in views.values())


def _version(page: str) -> str:
    found = re.search(r'data-version="([^"]+)"', page)
    assert found
    return found[1]
