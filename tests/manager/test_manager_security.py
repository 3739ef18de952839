"""Nobody sees or does on the page what Airflow does not let them, and no other site does it in their name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.routing import APIRoute

from iw_operators.ledger.store import Ledger
from iw_operators.manager.app import app
from tests.manager.conftest import TOKEN, People
from tests.manager.seed import FLOW, seed

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R11")]
DAG_ID = f"acme.{FLOW}"
VALUES = {
    "company": "acme",
    "dag_id": DAG_ID,
    "side": "crm",
    "mapping": "customers",
    "run_id": "1",
    "row_id": "1",
}


def routes(method: str) -> Iterator[tuple[str, str]]:
    """Yield name and address of every route of a method, filled in with what there is."""
    for route in app.made.routes:
        if isinstance(route, APIRoute) and method in route.methods:
            yield route.name, re.sub(r"{(\w+)}", lambda found: VALUES[found[1]], route.path)


@pytest.fixture
def seeded(people: People, ledger: Ledger) -> People:
    """People in front of a company that has worked."""
    seed(ledger)
    return people


class TestWho:
    """Airflow signs people in, and says who may do what."""

    def test_nobody_is_let_in_without_signing_in(self, seeded: People) -> None:
        """Every route answers 401 to somebody who is not signed in, whatever it is for."""
        asked = [(method, path) for method in ("GET", "POST") for _, path in routes(method)]
        assert len(asked) >= 30
        browser = seeded.browser(None)
        answers = {(method, path): browser.request(method, f"/iwmgr{path}").status_code for method, path in asked}
        assert set(answers.values()) == {401}, answers

    def test_a_viewer_changes_nothing(self, seeded: People, metadata: Session) -> None:
        """Every route that changes something answers 403 to a viewer with a form of their own."""
        browser = seeded.browser("view")
        token = _token(browser)
        answers = {
            name: browser.post(
                f"/iwmgr{path}",
                data={"token": token, "do": "stop", "value": "2026-01-01T00:00", "dag_id": DAG_ID},
                files={"file": ("f.csv", b"x")},
            ).status_code
            for name, path in routes("POST")
        }
        assert len(answers) >= 12
        assert set(answers.values()) == {403}, answers

    def test_a_viewer_sees_everything_but_files_of_records(self, seeded: People) -> None:
        """Every page is shown to a viewer; the file with values of records is for those who may correct them."""
        answers = {name: seeded.get("view", path).status_code for name, path in routes("GET")}
        assert answers.pop("export") == 403
        assert set(answers.values()) == {200}, answers

    def test_a_viewer_is_shown_no_buttons(self, seeded: People) -> None:
        """A viewer's page has no form that would be refused."""
        for path in ("/c/acme", f"/flow/{DAG_ID}", "/c/acme/company", "/c/acme/failures"):
            page = seeded.get("view", path).text
            assert "formaction" not in page, path
            assert 'value="start"' not in page, path
            assert "Begin maintenance" not in page, path

    def test_query_starts_is_for_administrators(self, seeded: People, ledger: Ledger) -> None:
        """An operator cannot set Query Starts, an administrator can."""
        before = ledger.query_starts("acme", FLOW)
        refused = seeded.post("oper", f"/flow/{DAG_ID}/query-starts", {"value": "2026-01-01T00:00:00"})
        assert refused.status_code == 403
        assert ledger.query_starts("acme", FLOW) == before
        assert "Set Query Starts" not in seeded.get("oper", f"/flow/{DAG_ID}").text
        assert seeded.post("ada", f"/flow/{DAG_ID}/query-starts", {"value": "2026-01-01T00:00:00"}).status_code == 303
        assert ledger.query_starts("acme", FLOW) != before


class TestCompanies:
    """A company exists only for those who may see a flow of it, and then with those flows alone."""

    @pytest.fixture
    def sees_only(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A function that lets everybody see and edit these DAGs and no others."""
        from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

        def limit(*dag_ids: str) -> None:
            allowed = set(dag_ids)

            def those(self: object, *, dag_ids: Collection[str], **_: object) -> set[str]:
                return set(dag_ids) & allowed

            def that(self: object, *, details: Any = None, **_: object) -> bool:
                return details is None or details.id in allowed

            monkeypatch.setattr(SimpleAuthManager, "filter_authorized_dag_ids", those)
            monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", that)

        return limit

    def test_another_company_does_not_exist(self, seeded: People, ledger: Ledger, sees_only: Any) -> None:
        """None of a company's pages, parts and forms tells somebody that it is there who may see none of its flows."""
        other = seed(ledger, "globex")
        sees_only(DAG_ID)
        assert "globex" not in seeded.get("oper", "/").text
        assert "globex" not in seeded.get("oper", "/live").text
        for path in (
            "",
            "/live",
            "/company",
            "/mappings",
            "/records",
            "/failures",
            "/reviews",
            f"/records?run={other}",
        ):
            assert seeded.get("oper", f"/c/globex{path}").status_code == 404, path
        assert seeded.get("oper", f"/flow/globex.{FLOW}").status_code == 403
        for path in ("/c/globex/maintenance/begin", "/c/globex/failures", "/c/globex/flows"):
            assert self._post(seeded, path, do="stop").status_code == 404, path

    def test_a_run_of_another_company_is_not_shown_under_ones_own(self, seeded: People, ledger: Ledger) -> None:
        """The number of another company's run gives nothing in a company's own pages."""
        other = seed(ledger, "globex")
        page = seeded.get("ada", f"/c/acme/records?run={other}").text
        assert "No records like that." in page
        assert seeded.get("ada", f"/c/acme/reviews/{other}").status_code == 404
        row = ledger.log(company="globex", limit=1)[0]
        assert seeded.get("ada", f"/c/acme/records/{row.id}").status_code == 404

    def test_rows_of_hidden_flows_are_left_out(self, seeded: People, sees_only: Any) -> None:
        """Who sees one flow sees its records, runs and failures, and not those of the company's other flows."""
        sees_only("acme.QBCust2CRAcct")
        assert FLOW not in seeded.get("oper", "/c/acme").text
        assert "There are flows that you may not see." in seeded.get("oper", "/c/acme").text
        for path in ("/records", "/failures", "/records?text=Epsilon"):
            page = seeded.get("oper", f"/c/acme{path}").text
            assert "Epsilon" not in page.replace('value="Epsilon"', ""), path
        assert seeded.get("oper", "/c/acme/records/1").status_code == 404
        assert FLOW not in seeded.get("oper", "/").text
        assert FLOW not in seeded.get("oper", "/c/acme/company").text

    def test_maintenance_takes_all_flows(self, seeded: People, ledger: Ledger, sees_only: Any) -> None:
        """Who may operate some of a company's flows cannot put the company into maintenance."""
        sees_only(DAG_ID)
        assert self._post(seeded, "/c/acme/maintenance/begin").status_code == 403
        assert ledger.maintenance("acme") is None

    def test_flows_that_are_not_ours_are_not_found(self, seeded: People) -> None:
        """The tab of somebody else's DAG says that it is not a flow of ours."""
        assert seeded.get("ada", "/flow/example_dag").status_code == 404
        assert seeded.get("ada", "/flow/acme.Nothing").status_code == 404
        assert seeded.get("ada", "/c/..%2Facme").status_code == 404

    def _post(self, people: People, path: str, **fields: str) -> Any:
        browser = people.browser("oper")
        token = _token(browser, f"/flow/{DAG_ID}")
        return browser.post(f"/iwmgr{path}", data={"token": token, **fields})


class TestForms:
    """Only forms that were shown to the same session count."""

    PATH = f"/iwmgr/flow/{DAG_ID}/start"

    def test_a_form_without_a_token_is_refused(self, seeded: People) -> None:
        """A form that another site has made carries no token."""
        assert seeded.browser("oper").post(self.PATH).status_code == 403
        assert seeded.browser("oper").post(self.PATH, data={"token": "0" * 64}).status_code == 403
        assert seeded.browser("oper").post(self.PATH, data={"token": "é" * 64}).status_code == 403

    def test_somebody_elses_token_is_refused(self, seeded: People) -> None:
        """A token belongs to one session: neither another person's nor the same person's other session's counts."""
        assert seeded.browser("oper").post(self.PATH, data={"token": _token(seeded.browser("ada"))}).status_code == 403
        browser = seeded.browser("oper")
        token = _token(browser)
        browser.cookies.set("_token", _later_session("oper"))
        assert browser.post(self.PATH, data={"token": token}).status_code == 403

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://elsewhere.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost:8080.elsewhere.example"},
        ],
    )
    def test_forms_of_other_sites_are_refused(self, seeded: People, headers: dict[str, str]) -> None:
        """A browser that says that a form came from elsewhere is believed, even with a right token."""
        assert seeded.post("oper", f"/flow/{DAG_ID}/start", headers=headers).status_code == 403

    def test_our_own_forms_are_taken(self, seeded: People) -> None:
        """A form of ours, as a browser sends it, is taken."""
        headers = {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}
        assert seeded.post("oper", f"/flow/{DAG_ID}/start", headers=headers).status_code == 303

    def test_a_script_with_its_own_token_needs_no_form(self, seeded: People) -> None:
        """A request with a bearer token cannot come from another site's page."""
        browser = seeded.browser(None)
        headers = {"Authorization": f"Bearer {_later_session('oper')}"}
        assert browser.post(self.PATH, headers=headers).status_code == 303
        headers = {"Authorization": f"Bearer {_later_session('view')}"}
        assert browser.post(self.PATH, headers=headers).status_code == 403

    def test_looking_changes_nothing(self, seeded: People) -> None:
        """No route that changes something can be called with GET."""
        changing = {path for _, path in routes("POST")} - {path for _, path in routes("GET")}
        assert {seeded.get("ada", path).status_code for path in changing} <= {404, 405}


class TestAnswers:
    """What leaves the page can do nothing but be shown."""

    def test_every_answer_has_strict_headers(self, seeded: People) -> None:
        """Pages, parts, files and refusals keep browsers from running, framing, guessing and keeping them."""
        for name in ("ada", None):
            for path in ("/", "/c/acme/live", "/c/acme/mappings/customers/report.csv", "/nothing"):
                headers = seeded.get(name, path).headers
                policy = headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "script-src 'self'" in policy
                assert "unsafe" not in policy
                assert "frame-ancestors 'self'" in policy
                assert headers["x-content-type-options"] == "nosniff"
                assert headers["cache-control"] == "no-store"

    def test_pages_have_nothing_inline(self, seeded: People) -> None:
        """No page needs a script, a style or a handler of its own, which the policy would refuse, or another site."""
        for _, path in routes("GET"):
            page = seeded.get("ada", path).text
            assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", page), path
            assert not re.search(r"(src|href|action)=\"(https?:)?//", page), path

    def test_what_records_say_stays_text(self, seeded: People) -> None:
        """Names with markup are shown as they are written."""
        for path in ("/c/acme/records", "/c/acme/records/1"):
            page = seeded.get("ada", path).text
            assert "Alpha &lt;b&gt;Ltd&lt;/b&gt;" in page
            assert "<b>Ltd" not in page

    def test_nobody_puts_words_into_our_page(self, seeded: People) -> None:
        """A message in the address is shown only when we have written it."""
        assert "Call this number" not in seeded.get("ada", "/?said=Call this number").text
        answer = seeded.post("oper", f"/flow/{DAG_ID}/start")
        sealed = answer.headers["location"].partition("said=")[2]
        assert f"{FLOW} is started." in seeded.get("oper", f"/flow/{DAG_ID}?said={sealed}").text
        assert f"{FLOW} is started." not in seeded.get("oper", f"/flow/{DAG_ID}?said={sealed[:-2]}").text

    def test_static_files_are_the_only_open_ones(self, seeded: People) -> None:
        """Scripts, style and mark are given to everybody, and kept by browsers for good under their version."""
        answer = seeded.get(None, "/static/manager.js?v=1")
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert seeded.get(None, "/static/../app.py").status_code in (401, 404)


def _token(browser: Any, path: str = "/c/acme") -> str:
    found = TOKEN.search(browser.get(f"/iwmgr{path}").text)
    assert found, "the page has no form"
    return found[1]


def _later_session(name: str) -> str:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    from tests.manager.conftest import PEOPLE

    return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=PEOPLE[name]))


HOSTILE = (
    *("%00", "%ED%A0%80", "'", '"', "%25", "_", "\\", "' OR 1=1 --", "<script>alert(1)</script>", "../..", "é" * 3_000),
    *("-1", "0", "1e9", "9" * 30, "9223372036854775808", "2026-13-45", "0001-01-01T00:00", "{{1337*7331}}"),
)


PARAMETERS = {
    "/c/acme/records": "flow run mapping record state code text since until before",
    "/c/acme/failures": "state mapping side flow code text before",
    "/c/acme/reviews/1": "mapping finding decision text after",
    f"/flow/{DAG_ID}": "before said",
    "/c/acme/mappings/customers": "old new",
    "/c/acme/live": "known",
}


class TestHostile:
    """Whatever stands in an address, the page answers in its own words."""

    @pytest.mark.parametrize("text", HOSTILE)
    def test_addresses(self, seeded: People, text: str) -> None:
        """No address is an error of the server, and nothing of it comes back as markup."""
        browser = seeded.browser("ada")
        for path, names in PARAMETERS.items():
            for name in names.split():
                answer = browser.get(f"/iwmgr{path}?{name}={text}")
                assert answer.status_code in (200, 404, 422), (path, name, answer.text[:500])
                assert "<script>alert" not in answer.text
                assert str(1337 * 7331) not in answer.text

    @pytest.mark.parametrize("text", HOSTILE)
    def test_parts_of_addresses(self, seeded: People, text: str) -> None:
        """The same for company, flow, mapping, record and sheet."""
        browser = seeded.browser("ada")
        for path in ("/c/{}", "/flow/{}", "/c/acme/mappings/{}", "/c/acme/records/{}", "/c/acme/reviews/{}"):
            answer = browser.get(f"/iwmgr{path.format(text.replace('/', '%2F'))}")
            assert answer.status_code in (200, 307, 404, 422), (path, answer.text[:500])

    @pytest.mark.parametrize("text", ["\x00", "\ud800".encode("utf-8", "surrogatepass"), "x" * 100_000, "🦆" * 500])
    def test_forms(self, seeded: People, text: str | bytes) -> None:
        """The same for what is typed into forms."""
        value = text if isinstance(text, str) else text.decode("latin-1")
        for path, form in (
            (f"/flow/{DAG_ID}NF/run", {"names": value}),
            (f"/flow/{DAG_ID}NFS/run", {"names": value}),
            (f"/flow/{DAG_ID}/query-starts", {"value": value}),
            ("/c/acme/failures", {"do": "give up", "why": value, "record": '["customers", "crm", "A5"]'}),
            ("/c/acme/failures", {"do": value, "record": value}),
            ("/c/acme/maintenance/begin", {"why": value}),
        ):
            answer = seeded.post("ada", path, form)
            assert answer.status_code in (303, 422), (path, answer.status_code, answer.text[:500])
