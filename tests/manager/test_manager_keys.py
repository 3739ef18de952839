"""Enter in a field: of a form with several buttons, none is pressed."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from iw_operators.engine.model import Candidate
from iw_operators.engine.review import Finding, Found
from iw_operators.ledger.store import Ledger
from local.chromium import WORDS, program
from tests.ledger.kit import begin
from tests.manager.conftest import People
from tests.manager.seed import seed

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R11")]

FIELDS = ("checkbox", "text", "search", "number", "file", "datetime-local")


class Forms(HTMLParser):
    """The forms of a page that are sent: their fields, and which of their buttons are pressed by Enter."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[int, list[bool]]] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form, or what is in it."""
        given = dict(attrs)
        if tag == "form":
            self._open = given.get("method") == "post"
            self.found += [(0, [])] * self._open
        if not self._open:
            return
        fields, buttons = self.found[-1]
        if tag == "input" and given.get("type", "text") in FIELDS and "form" not in given:
            self.found[-1] = (fields + 1, buttons)
        if tag == "button" and given.get("type") != "button":
            self.found[-1] = (fields, [*buttons, "disabled" not in given])

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a form."""
        self._open = self._open and tag != "form"


def test_enter_presses_none_of_several_buttons(people: People, ledger: Ledger) -> None:
    """Enter presses a form's first button: where that would be a guess, it is one that does nothing."""
    seed(ledger)
    run = begin(ledger, flow="CRAcct2QBCustBind", dag_run_id="manual__1")
    ledger.begin_review(run)
    ledger.put_review(run, [Found("A2", Finding.AMBIGUOUS, "", "Beta", candidates=(Candidate("C2", "Beta Inc"),))])
    ledger.end_review(run)
    several = []
    for path in ("/c/acme", "/c/acme/failures", f"/c/acme/reviews/{run.run_id}", "/c/acme/company", "/flow/acme.X"):
        page = people.get("ada", path.replace("acme.X", "acme.CRAcct2QBCustDR")).text
        for fields, buttons in Forms(page).found:
            if fields and len(buttons) > 1:
                several.append(path)
                assert not buttons[0], path
                assert all(buttons[1:]), path
    assert several == ["/c/acme", "/c/acme/failures", f"/c/acme/reviews/{run.run_id}"]


def test_enter_in_a_browser_sends_nothing(people: People, ledger: Ledger) -> None:
    """Neither in the reason of a record that is given up nor on a tick; with the page's script and without it."""
    from playwright.sync_api import sync_playwright

    from iw_operators.manager import render

    if (chromium := program()) is None:
        pytest.skip(WORDS)
    seed(ledger)
    pages = {path: people.get("ada", path).text for path in ("/c/acme", "/c/acme/failures")}
    script = (render.STATIC / "manager.js").read_text(encoding="utf-8")
    sent: list[str] = []

    def answer(route: Route) -> None:
        path = urlsplit(route.request.url).path.removeprefix("/iwmgr")
        if route.request.method == "POST":
            sent.append(f"{path} {route.request.post_data}")
        kind = "text/javascript" if path.endswith("manager.js") else "text/html"
        route.fulfill(body=script if path.endswith("manager.js") else pages.get(path, ""), content_type=kind)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for scripted in (True, False):
            page = browser.new_context(java_script_enabled=scripted).new_page()
            page.route("**/*", answer)
            page.goto("http://localhost:8080/iwmgr/c/acme/failures")
            page.locator("input[name=record]").first.check()
            page.locator("input[name=why]").fill("a duplicate")
            page.locator("input[name=why]").press("Enter")
            if scripted:  # without it Chromium goes on to the next button for a tick
                page.goto("http://localhost:8080/iwmgr/c/acme")
                page.locator("input[name=dag_id]").first.check()
                page.locator("input[name=dag_id]").first.press("Enter")
            page.wait_for_timeout(200)
            assert sent == []
        page = browser.new_page()
        page.route("**/*", answer)
        page.goto("http://localhost:8080/iwmgr/c/acme/failures")
        page.locator("input[name=record]").first.check()
        page.get_by_role("button", name="Reprocess ticked").press("Enter")
        page.wait_for_timeout(200)
        browser.close()
    assert [each.partition(" ")[0] for each in sent] == ["/c/acme/failures"]
    assert "do=reprocess" in sent[0]
