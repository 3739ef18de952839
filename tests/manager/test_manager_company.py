"""The page of a company: settings, connections, maintenance, mappings and their versions, what people did."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from iw_operators import maintenance
from iw_operators.errors import ConnectionFailure
from iw_operators.ledger.store import Ledger
from iw_operators.manager import testing, world
from tests.manager.conftest import People
from tests.manager.seed import FLOW
from tests.manager.test_manager_flows import at_work, switch

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R11")]
DAG_ID = f"acme.{FLOW}"


@pytest.mark.feature("R5")
class TestMaintenance:
    """One action there, a clear line when it is safe, and one action back."""

    def test_there_and_back(
        self, people: People, ledger: Ledger, metadata: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It stops what is on, waits for what is at work, says when it is safe, and starts exactly the same again."""
        switch(metadata, DAG_ID, on=True)
        at_work(metadata, DAG_ID, "manual__1")
        people.post("oper", "/c/acme/maintenance/begin", {"why": "month end"})
        page = people.get("view", "/c/acme/company").text
        assert "not safe yet" in page
        assert "month end" in page
        assert "Maintenance</strong> since" in people.get("view", "/c/acme").text
        metadata.execute(sa.text("UPDATE task_instance SET state = 'success'"))
        metadata.execute(sa.text("UPDATE dag_run SET state = 'success'"))
        metadata.commit()
        assert "safe: nothing is connected" in people.get("view", "/c/acme/company").text
        monkeypatch.setattr(maintenance, "check_connections", lambda ledger, company: None)
        answer = people.post("oper", "/c/acme/maintenance/end")
        assert "1 flow is on again" in people.browser("oper").get(answer.headers["location"]).text
        on = metadata.scalars(sa.text("SELECT dag_id FROM dag WHERE NOT is_paused")).all()
        assert list(on) == [DAG_ID]
        assert [deed.by for deed in ledger.deeds("acme")] == ["oper", "oper"]

    def test_it_does_not_end_while_a_system_is_away(
        self, people: People, ledger: Ledger, metadata: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The connections are checked first; what is wrong is said, and nothing is started."""

        def away(ledger: Ledger, company: str) -> None:
            msg = "The books do not answer."
            raise ConnectionFailure(msg)

        switch(metadata, DAG_ID, on=True)
        people.post("oper", "/c/acme/maintenance/begin")
        monkeypatch.setattr(maintenance, "check_connections", away)
        answer = people.post("oper", "/c/acme/maintenance/end")
        page = people.browser("oper").get(answer.headers["location"]).text
        assert "The maintenance goes on." in page
        assert "The books do not answer." in page
        assert ledger.maintenance("acme") is not None
        metadata.rollback()
        assert list(metadata.scalars(sa.text("SELECT dag_id FROM dag WHERE NOT is_paused"))) == []

    def test_starting_is_refused_meanwhile(self, people: People) -> None:
        """A flow cannot be started in the middle of a maintenance."""
        people.post("oper", "/c/acme/maintenance/begin")
        answer = people.post("oper", f"/flow/{DAG_ID}/start")
        assert "is in maintenance" in people.browser("oper").get(answer.headers["location"]).text


class TestConnections:
    """Tried on demand; the result stays, secrets do not appear."""

    def test_a_test_says_how_it_went(self, people: People, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """The button tries the connection beside the page, which then shows the result and who asked for it."""
        monkeypatch.setattr(testing, "attempt", lambda conn_id: (True, f"Signed in by {conn_id}."))
        people.post("oper", "/c/acme/connections/crm/test")
        page = people.get("view", "/c/acme/company").text
        assert "✓ works" in page
        assert "Signed in by acme_crm." in page
        (deed,) = ledger.deeds("acme")
        assert (deed.by, deed.subject, deed.detail["ok"]) == ("oper", "connection acme_crm", True)

    def test_a_connection_that_is_not_there(self, people: People) -> None:
        """A missing connection is told with what to do."""
        people.post("oper", "/c/acme/connections/books/test")
        page = people.get("view", "/c/acme/company").text
        assert "✕ fails" in page
        assert "There is no Airflow connection &#39;acme_books&#39;." in page

    def test_secrets_stay_secret(self, people: People, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever a hook says, passwords of the connection are masked in what is kept, and nothing is left behind."""
        import os

        from airflow.models.connection import Connection

        secret = "correct-horse-battery"
        connection = {"conn_type": "creatio", "host": "http://127.0.0.1:9", "login": "u", "password": secret}
        monkeypatch.setenv("AIRFLOW_CONN_ACME_CRM", json.dumps(connection))
        seen: list[str] = []

        def blurt(self: Any) -> tuple[bool, str]:
            seen.append(self.conn_id)
            return False, f"cannot sign in with {secret}"

        monkeypatch.setattr(Connection, "test_connection", blurt)
        before = set(os.environ)
        people.post("oper", "/c/acme/connections/crm/test")
        assert set(os.environ) == before
        assert seen[0] != "acme_crm"
        (deed,) = ledger.deeds("acme")
        assert "cannot sign in with" in deed.detail["message"]
        assert secret not in json.dumps(dict(deed.detail))
        assert secret not in people.get("ada", "/c/acme/company").text

    def test_one_test_at_a_time(self) -> None:
        """A connection that is being tested is not tested a second time beside it."""
        assert testing.begin("acme", "c")
        assert not testing.begin("acme", "c")
        assert testing.under_way("acme", "c")
        testing._going.clear()


@pytest.mark.feature("M26")
class TestMappings:
    """What becomes of what, and what changed between two versions."""

    def test_the_report(self, people: People) -> None:
        """Every field of a mapping with both sides, owner and type; also as CSV."""
        page = people.get("view", "/c/acme/mappings/customers").text
        assert "DisplayName" in page
        assert "Versions are kept from the first run on." in page
        file = people.get("view", "/c/acme/mappings/customers/report.csv").text
        assert file.startswith("Company,Mapping,Field")

    def test_what_changed(self, people: People, ledger: Ledger) -> None:
        """An earlier version is compared with the one that stands now, or with any other."""
        from iw_operators.spec import differences

        spec = world.specs().companies()["acme"].spec
        assert spec is not None
        now = differences.snapshot(spec.mappings["customers"])
        then = json.loads(json.dumps(now))
        then["rows"] = [row for row in then["rows"] if row["field"] != "phone"]
        for row in then["rows"]:
            if row["field"] == "name":
                row["owner"] = "crm"
        ledger.note_version("acme", "customers", "old-fingerprint", then)
        page = people.get("view", "/c/acme/mappings/customers").text
        changes = re.sub(r"<[^>]*>", " ", page.partition('id="versions"')[2].partition("</section>")[0])
        assert re.search(r"added\s+phone", changes)
        assert re.search(r"changed\s+name\s+owner\s+crm\s+latest", changes)
        same = "/c/acme/mappings/customers?old=old-fingerprint&new=old-fingerprint"
        assert "No difference." in people.get("view", same).text
        assert "There is no such version." in people.get("view", "/c/acme/mappings/customers?old=nothing").text

    def test_a_mapping_that_is_not_there(self, people: People) -> None:
        """It is not found."""
        assert people.get("view", "/c/acme/mappings/nothing").status_code == 404


class TestSpecs:
    """What stands in the mappings' folder now is what the page shows."""

    def test_a_change_is_seen(self, tmp_path: Path, specs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that changes is read again, a company that has not changed is not."""
        import shutil

        root = tmp_path / "mappings"
        shutil.copytree(specs_folder, root)
        specs = world.Specs(root)
        monkeypatch.setattr(world, "LOOK_AGAIN", 0.0)
        before = specs.companies()
        assert specs.companies()["acme"] is before["acme"]
        file = root / "acme" / "flows.yaml"
        file.write_text(file.read_text().replace("Accounts to customers", "Something else"))
        after = specs.companies()
        assert after["globex"] is before["globex"]
        assert after["acme"].spec is not None
        assert after["acme"].spec.flows[FLOW].spec.description == "Something else"

    def test_errors_are_shown(self, tmp_path: Path, specs_folder: Path, people: People,
                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
        """A company whose specs have errors says so, and shows the flows that are left."""
        import shutil

        root = tmp_path / "mappings"
        shutil.copytree(specs_folder, root)
        flows = root / "acme" / "flows.yaml"
        flows.write_text(flows.read_text() + "  QBX2CRY: {mappings: [nothing], direction: to_crm}\n")
        (root / "globex" / "company.yaml").write_text("company: [")
        monkeypatch.setenv("AIRFLOW__INTERWEAVE__MAPPINGS_FOLDER", str(root))
        page = people.get("view", "/c/acme").text
        assert "in the specs" in page
        assert "no mapping" in page
        assert f'id="flow-{FLOW}"' in page
        assert "airflow iw validate" in people.get("view", "/c/globex").text
        assert people.get("view", "/").status_code == 200


def test_a_ledger_that_is_away(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its ledger the page says what is missing and what to do, instead of an error."""
    world.close()
    monkeypatch.delenv("AIRFLOW_CONN_IW_LEDGER")
    answer = people.get("ada", "/c/acme")
    assert answer.status_code == 503
    assert "airflow connections add iw_ledger" in answer.text


def test_what_people_did(people: People) -> None:
    """Everything that was done on the page stands on the company's page, with who did it."""
    people.post("oper", f"/flow/{DAG_ID}/start")
    people.post("ada", f"/flow/{DAG_ID}/query-starts", {"value": "2026-01-01T00:00"})
    page = people.get("view", "/c/acme/company").text.partition('id="deeds"')[2]
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert re.search(rf"oper started {FLOW}", text)
    assert re.search(rf"ada query starts set {FLOW}", text)


def test_what_lasts(people: People, ledger: Ledger) -> None:
    """A connection that is away and a flow that fails are told on the monitor and over the company's tables."""
    for key in ("connection:books", f"flow:{FLOW}", "flow:Another", "stopped"):
        ledger.begin_alarm("acme", key, f"detail of {key}", lambda _: [])
    for path in ("/", "/c/acme", "/c/acme/company"):
        page = people.get("view", path).text
        assert "No connection to QuickBooks Online" in page, path
        assert f"{FLOW} fails" in page
        assert "Stopped" in page
        assert "Another" not in page
