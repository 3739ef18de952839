"""Records on the page: searched, shown field by field, and, where they failed, reprocessed, corrected, given up."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from iw_operators.ledger.failures import FailureState
from iw_operators.ledger.store import Ledger
from tests.manager.conftest import People
from tests.manager.seed import FLOW, seed
from tests.sync.fakes import FakeSystem

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R11")]
LABELS = ("Alpha &lt;b&gt;Ltd&lt;/b&gt;", "Beta &amp; Sons", "Gamma", "Delta", "Epsilon: North", "Zeta")


@pytest.fixture
def seeded(people: People, ledger: Ledger) -> People:
    """People in front of a company that has worked."""
    seed(ledger)
    return people


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    """The CRM of both companies, in memory."""
    from iw_operators.operators import runtime

    made = FakeSystem("crm")
    made.put("A5", name="Epsilon: North")
    made.put("A6", name="Zeta")
    monkeypatch.setattr(runtime, "open_side", lambda company, side, ledger: made)
    return made


def listed(page: str) -> list[str]:
    """Return which of the seeded records a page lists, by name."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [html.unescape(label) for label in LABELS if label in body]


def ticket(source_id: str, mapping: str = "customers", side: str = "crm") -> str:
    """Return what a tick in the list of failed records says."""
    return json.dumps([mapping, side, source_id])


@pytest.mark.feature("R9")
class TestSearch:
    """Every transaction can be found."""

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("", [html.unescape(label) for label in LABELS]),
            ("state=created", ["Alpha <b>Ltd</b>", "Beta & Sons", "Gamma"]),
            ("state=rejected", ["Epsilon: North"]),
            ("run=1&state=held", ["Zeta"]),
            ("record=A4", ["Delta"]),
            ("code=iw.ambiguous", ["Zeta"]),
            ("text=beta+%26", ["Beta & Sons"]),
            ("text=%25", []),
            ("flow=QBCust2CRAcct", []),
            (f"flow={FLOW}&mapping=customers&text=gam", ["Gamma"]),
            ("since=2000-01-01T00:00&until=2001-01-01T00:00", []),
            ("since=2000-01-01T00:00", [html.unescape(label) for label in LABELS]),
        ],
    )
    def test_by(self, seeded: People, query: str, found: list[str]) -> None:
        """By flow, run, record, state, code, date and text, and by several of them at once."""
        answer = seeded.get("view", f"/c/acme/records?{query}")
        assert answer.status_code == 200
        assert listed(answer.text) == found

    @pytest.mark.parametrize("query", ["run=x", "run=-1", "state=lost", "since=soon", "before=1"])
    def test_what_cannot_be_searched(self, seeded: People, query: str) -> None:
        """A search that means nothing is told so."""
        assert seeded.get("view", f"/c/acme/records?{query}").status_code == 422

    def test_page_by_page(self, people: People, ledger: Ledger) -> None:
        """A long list goes on behind its last row, without leaving out or repeating a row."""
        from tests.ledger.kit import begin, quiet

        run = begin(ledger, flow=FLOW)
        for start in range(0, 250, 50):
            from iw_operators.engine.model import Action

            ledger.record(run, [quiet(Action.SKIP, f"S{n}", label=f"S{n}") for n in range(start, start + 50)])
        path, seen = "/c/acme/records", []
        while path:
            page = people.get("view", path).text
            seen += re.findall(r'<th scope="row"><a [^>]*>(S\d+)</a>', page)
            older = re.search(r'rel="next" href="/iwmgr([^"]+)"', page)
            path = html.unescape(older[1]) if older else ""
        assert len(seen) == 250
        assert len(set(seen)) == 250

    @pytest.mark.feature("E2")
    def test_the_advice_is_where_the_rejection_is(self, seeded: People) -> None:
        """The list and the record both say what to do about it."""
        for path in ("/c/acme/records?state=held", "/c/acme/failures?text=Zeta"):
            assert "Give the id of the right one" in seeded.get("view", path).text

    def test_one_record(self, seeded: People, ledger: Ledger) -> None:
        """Old and new values field by field, advice, candidates, history, and the version of the mapping."""
        (row,) = ledger.log(company="acme", source_id="A4")
        page = seeded.get("view", f"/c/acme/records/{row.id}").text
        assert '<del class="old">555-0100</del>' in page
        assert '<ins class="new">555-0199</ins>' in page
        assert "has changed since" in page
        (row,) = ledger.log(company="acme", source_id="A6")
        page = seeded.get("view", f"/c/acme/records/{row.id}").text
        assert "Zeta LLC" in page
        assert "History of the record" in page
        assert '<span class="chip c-open">open</span>' in page


@pytest.mark.feature("R10")
class TestFailures:
    """Records that failed are in one of four states, and somebody does something about them."""

    def test_open_ones_first(self, seeded: People) -> None:
        """The list shows what is open, with why and what to do, and how many there are of each."""
        page = seeded.get("view", "/c/acme/failures").text
        assert listed(page) == ["Epsilon: North", "Zeta"]
        assert "customers from crm: 2 open" in page
        assert listed(seeded.get("view", f"/c/acme/failures?flow={FLOW}&code=iw.ambiguous").text) == ["Zeta"]
        assert listed(seeded.get("view", "/c/acme/failures?flow=QBCust2CRAcct").text) == []

    def test_give_up_and_open_again(self, seeded: People, ledger: Ledger) -> None:
        """A record is given up by somebody for a reason, which can be taken back."""
        path, form = "/c/acme/failures", {"record": [ticket("A5")]}
        answer = seeded.post("oper", path, {**form, "do": "give up", "why": " "})
        assert "Say why" in seeded.browser("oper").get(answer.headers["location"]).text
        seeded.post("oper", path, {**form, "do": "give up", "why": "a test record"})
        failure = ledger.failure("acme", "customers", "crm", "A5")
        assert failure is not None
        assert (failure.state, failure.settled_by, failure.settled_why) == ("given up", "oper", "a test record")
        assert "a test record" in seeded.get("view", "/c/acme/failures?state=given+up").text
        seeded.post("oper", path, {**form, "do": "reopen"})
        failure = ledger.failure("acme", "customers", "crm", "A5")
        assert failure is not None
        assert failure.state is FailureState.OPEN

    def test_reprocess(self, seeded: People, metadata: Session) -> None:
        """Ticked records are done again by a run of the mapping's own flow that does nothing else."""
        seeded.post("oper", "/c/acme/failures", {"record": [ticket("A5"), ticket("A6")], "do": "reprocess"})
        assert self._runs(metadata) == [{"ids": ["A5", "A6"], "reprocess": True, "by": "oper"}]

    def test_reprocess_all(self, seeded: People, metadata: Session) -> None:
        """One button does all that are open of a mapping."""
        answer = seeded.post("oper", "/c/acme/failures/customers/crm/reprocess")
        assert "Reprocessing" in seeded.browser("oper").get(answer.headers["location"]).text
        assert [conf["ids"] for conf in self._runs(metadata)] == [[]]

    @pytest.mark.parametrize(
        ("record", "status"),
        [
            ("nonsense", 422),
            ("[1, 2, 3]", 422),
            (ticket("A5", side="left"), 422),
            (ticket("A5", mapping="nothing"), 404),
            ('["customers", "crm"]', 422),
            ("5", 422),
            ("null", 422),
            ('["customers", 5, "A5"]', 422),
            ('["customers", ["crm"], "A5"]', 422),
            ('["customers", "crm", "A5\\u0000"]', 422),
            ('["customers", "crm", "A5\\ud800"]', 422),
        ],
    )
    def test_ticks_that_no_form_of_ours_has(self, seeded: People, record: str, status: int) -> None:
        """What a tick cannot say is refused in words, whatever was to be done with it."""
        for do in ("reprocess", "give up", "reopen"):
            answer = seeded.post("oper", "/c/acme/failures", {"record": [record], "do": do, "why": "x"})
            assert answer.status_code == status

    def test_nothing_ticked(self, seeded: People) -> None:
        """Without a tick nothing is done."""
        answer = seeded.post("oper", "/c/acme/failures", {"do": "reprocess"})
        assert "No record was ticked." in seeded.browser("oper").get(answer.headers["location"]).text

    def test_by_spreadsheet(self, seeded: People, ledger: Ledger, metadata: Session, crm: FakeSystem) -> None:
        """The file that is exported comes back corrected, and the records are reprocessed at once."""
        exported = seeded.get("oper", "/c/acme/failures/customers/crm.csv")
        assert exported.headers["content-type"].startswith("text/csv")
        assert "attachment" in exported.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(exported.content.decode("utf-8-sig"))))
        assert {row["record id"] for row in rows} == {"A5", "A6"}
        (row,) = [row for row in rows if row["record id"] == "A5"]
        answer = self._import(seeded, [{**row, "name": "Epsilon North"}])
        page = seeded.browser("oper").get(answer.headers["location"]).text
        assert "Corrected: 1 records" in page
        assert ledger.corrections("acme", "customers", "crm", ["A5"])["A5"].values["name"] == "Epsilon North"
        assert self._runs(metadata) == [{"ids": ["A5"], "reprocess": True, "by": "oper"}]
        del crm

    def test_what_can_go_is_reprocessed_beside_what_cannot(
        self, seeded: People, metadata: Session, crm: FakeSystem
    ) -> None:
        """A record in which something else is still wrong keeps no other one; the page says what was started."""
        crm.put("A6", name="Zeta", phone="9" * 60)
        exported = seeded.get("oper", "/c/acme/failures/customers/crm.csv")
        rows = {row["record id"]: row for row in csv.DictReader(io.StringIO(exported.content.decode("utf-8-sig")))}
        rows["A6"]["name"] = "Zeta Two"
        answer = self._import(seeded, [rows["A6"]])
        assert "Nothing was started: none of them can go yet." in answer.text
        assert self._runs(metadata) == []
        rows["A5"]["name"] = "Epsilon North"
        answer = self._import(seeded, list(rows.values()))
        assert "Corrected: 2 records" in answer.text
        assert "Some of them still cannot go" in answer.text
        assert "phone" in answer.text
        assert f"Reprocessing: {FLOW}NFS" in answer.text
        assert self._runs(metadata) == [{"ids": ["A5"], "reprocess": True, "by": "oper"}]

    def test_a_wrong_file_changes_nothing(self, seeded: People, ledger: Ledger, crm: FakeSystem) -> None:
        """Everything that is wrong in a file is told with its line and column, and nothing of it is kept."""
        exported = seeded.get("oper", "/c/acme/failures/customers/crm.csv")
        rows = list(csv.DictReader(io.StringIO(exported.content.decode("utf-8-sig"))))
        rows[0]["record id"] = "A99"
        answer = self._import(seeded, [{**row, "name": "<i>"} for row in rows])
        assert answer.status_code == 200
        assert "Nothing was kept" in answer.text
        assert not ledger.has_corrections("acme", "customers", "crm")
        assert self._import(seeded, [], data=b"\x00\xff").status_code == 200
        del crm

    def test_a_huge_file_is_refused(self, seeded: People, crm: FakeSystem) -> None:
        """A file that no list of failures is as large as is not read."""
        assert self._import(seeded, [], data=b"x" * (10 * 1024 * 1024 + 1)).status_code == 413
        del crm

    def _import(self, people: People, rows: list[dict[str, str]], data: bytes = b"") -> Any:
        if rows:
            out = io.StringIO(newline="")
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
            data = out.getvalue().encode("utf-8-sig")
        files = {"file": ("failed.csv", data, "text/csv")}
        return people.post("oper", "/c/acme/failures/customers/crm/import", {"run": "yes"}, files=files)

    def _runs(self, metadata: Session) -> list[Any]:
        from airflow.models.dagrun import DagRun

        metadata.rollback()
        return list(metadata.scalars(sa.select(DagRun.conf).where(DagRun.dag_id == f"acme.{FLOW}NFS")))
