"""The Integration Manager in a browser, inside a real Airflow: what people press, and what they then see."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from local.chromium import WORDS, program
from tests.e2e.running import BOOKS, Site, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, FrameLocator, Locator, Page

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.feature("R11")]

PICTURES = os.environ.get("IW_PICTURES")  # the folder that pictures of the pages are written to; none without it
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 90_000  # milliseconds
ITEMS = "QBItem2CRProd"
INVOICES = "CRAcctOpp2QBCustInv"
ONE = "QBCust2CRAcctNF"
MAGENTA, YELLOW, WHITE = (251, 211, 243), (253, 238, 176), (255, 255, 255)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window, with a profile of its own."""
    from playwright.sync_api import sync_playwright

    if (chromium := program()) is None:
        pytest.skip(WORDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def contexts(chromium: Browser, site: Site) -> Iterator[Callable[[str], BrowserContext]]:
    """A function that signs somebody in by Airflow's own form, once, and returns their browser window."""
    made: dict[str, BrowserContext] = {}

    def sign_in(name: str) -> BrowserContext:
        if name not in made:
            size = {"width": 1500, "height": 950}
            made[name] = chromium.new_context(viewport=size, color_scheme="light", base_url=site.airflow.url)  # type: ignore[arg-type]  # a typed dict of the library's
            made[name].set_default_timeout(PATIENCE)
            page = made[name].new_page()
            page.goto("/")
            page.fill("input[name=username]", name)
            page.fill("input[name=password]", name)
            page.click("button[type=submit]")
            page.wait_for_url(lambda url: "/login" not in url)
            page.close()
        return made[name]

    yield sign_in
    for context in made.values():
        context.close()


class Desk:
    """Somebody before Airflow, with the Integration Manager open in it."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if "Content Security Policy" in m.text else None)

    def open(self, path: str) -> FrameLocator:
        """Open a page of the Integration Manager by its address in Airflow."""
        self.page.goto(f"/plugin/integration-manager/iwmgr{path}")
        self.frame.locator("main").wait_for()
        return self.frame

    @property
    def frame(self) -> FrameLocator:
        """The frame that Airflow shows the page in."""
        return self.page.frame_locator("iframe")

    def row(self, flow: str) -> Locator:
        """The row of a flow in the two tables."""
        return self.frame.locator(f"#flow-{flow}")

    def state(self, flow: str, state: str) -> None:
        """Wait until a flow's row shows a state."""
        self.frame.locator(f'#flow-{flow}[data-state="{state}"]').wait_for()

    def colour(self, flow: str) -> tuple[int, ...]:
        """Return the colour behind a flow's state."""
        found = self.row(flow).locator(".state").evaluate("e => getComputedStyle(e).backgroundColor")
        return tuple(int(part) for part in re.findall(r"\d+", found)[:3])

    def picture(self, name: str) -> None:
        """Write a picture for the documents, where somebody has asked for pictures."""
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"manager-{name}.png")


@pytest.fixture
def desk(contexts: Callable[[str], BrowserContext]) -> Iterator[Callable[[str], Desk]]:
    """A function that opens Airflow for somebody; no page has had an error at the end."""
    made: list[Desk] = []

    def sit_down(name: str) -> Desk:
        made.append(Desk(contexts(name)))
        return made[-1]

    yield sit_down
    for each in made:
        each.page.close()
        assert each.errors == []


Desks = Callable[[str], Desk]


def test_it_is_in_airflows_navigation_and_a_tab_of_each_dag(site: Site, desk: Desks) -> None:
    """The page opens from Airflow's own places, keeps its address there, and leads to Airflow's pages."""
    admin = desk("admin")
    admin.page.goto("/plugin/integration-manager")
    admin.frame.get_by_role("heading", name="Monitor").wait_for()
    admin.frame.locator("#company-acme").get_by_role("link", name="acme", exact=True).click()
    admin.row(ITEMS).wait_for()
    admin.page.wait_for_url("**/plugin/integration-manager/iwmgr/c/acme")
    admin.page.goto(f"/dags/acme.{ITEMS}")
    admin.page.get_by_role("link", name="Integration Manager").last.click()
    admin.frame.get_by_role("heading", name=ITEMS).wait_for()
    admin.frame.get_by_role("link", name="Airflow log").first.click()
    admin.page.wait_for_url(re.compile(rf"/dags/acme\.{ITEMS}/runs/"))
    del site


def test_it_is_dark_when_airflow_is(desk: Desks) -> None:
    """The page has the theme that was chosen in Airflow."""
    admin = desk("admin")
    admin.open("/c/acme")
    light = admin.frame.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    admin.page.evaluate("localStorage.setItem('theme', 'dark')")
    admin.open("/c/acme")
    dark = admin.frame.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    admin.page.evaluate("localStorage.setItem('theme', 'light')")
    assert light != dark
    assert sum(int(part) for part in re.findall(r"\d+", dark)[:3]) < 120


def test_start_and_stop(site: Site, desk: Desks) -> None:
    """A flow is stopped and started by its buttons; Airflow's switch and the deeds say the same."""
    oper = desk("oper")
    oper.open("/c/acme")
    for action, state, paused in (("Stop", "STOPPED", True), ("Start", "STARTED", False)):
        oper.frame.get_by_role("button", name=f"{action} {ITEMS}", exact=True).click()
        oper.state(ITEMS, state)
        assert oper.frame.locator(".said.done").is_visible()
        assert site.airflow.get(f"/dags/acme.{ITEMS}")["is_paused"] is paused
    deeds = site.stack.ledger.deeds("acme", subject=ITEMS, limit=2)
    assert [(deed.by, deed.what) for deed in deeds] == [("oper", "started"), ("oper", "stopped")]


def test_a_flow_that_is_stopped_completes_first(site: Site, desk: Desks) -> None:
    """RUNNING in magenta; after Stop it is COMPLETING in yellow, then STOPPED in white, all without a reload.

    Query Starts stays where it was until the run is complete.
    """
    oper = desk("oper")
    oper.open("/c/acme")
    before = site.stack.ledger.query_starts("acme", ITEMS)
    site.stack.control(BOOKS, "faults", {"kind": "slow", "times": 40, "seconds": 4})
    oper.frame.get_by_role("button", name=f"Run {ITEMS} now", exact=True).click()
    oper.state(ITEMS, "RUNNING")
    assert oper.colour(ITEMS) == MAGENTA
    oper.picture("running")
    oper.frame.get_by_role("button", name=f"Stop {ITEMS}", exact=True).click()
    oper.state(ITEMS, "COMPLETING")
    assert oper.colour(ITEMS) == YELLOW
    oper.state(ITEMS, "STOPPED")
    assert oper.colour(ITEMS) == WHITE
    assert site.stack.ledger.query_starts("acme", ITEMS) == before
    site.stack.control(BOOKS, "faults", {"clear": True})
    oper.frame.get_by_role("button", name=f"Start {ITEMS}", exact=True).click()
    oper.state(ITEMS, "STARTED")
    until(lambda: not _unfinished(site, f"acme.{ITEMS}"), "what the stop has held up to end", 120)


def test_query_starts_is_set_by_hand(site: Site, desk: Desks) -> None:
    """An administrator sets it in the company's time; it stands in the table, in its history, and in the ledger."""
    ledger = site.stack.ledger
    before = ledger.query_starts("acme", ITEMS)
    assert before is not None
    admin = desk("admin")
    admin.open("/c/acme")
    admin.frame.get_by_role("link", name=f"Query Starts of {ITEMS}", exact=True).click()
    field = admin.frame.get_by_label("Look for changes from")
    field.fill("2026-03-01T06:30:00")
    admin.frame.get_by_role("button", name="Set Query Starts").click()
    admin.frame.locator(".said.done").wait_for()
    wanted = dt.datetime(2026, 3, 1, 6, 30, tzinfo=ZoneInfo(site.spec.company.time_zone)).astimezone(dt.UTC)
    assert ledger.query_starts("acme", ITEMS) == wanted
    assert "admin" in admin.frame.locator("#query-starts table").inner_text()
    admin.open("/c/acme")
    assert "2026-03-01 06:30:00" in admin.row(ITEMS).inner_text()
    ledger.move_query_starts("acme", ITEMS, before, by="test", back=True)


def test_one_record_by_its_name(site: Site, desk: Desks) -> None:
    """The form of an NF flow runs that one record, and the list of runs shows how it went."""
    customer = site.books.rows("Customer")[0]["FullyQualifiedName"]
    oper = desk("oper")
    oper.open(f"/flow/acme.{ONE}")
    oper.frame.get_by_label("Full name or id").fill(customer)
    oper.frame.get_by_role("button", name="Run", exact=True).click()
    oper.frame.locator(".said.done").wait_for()
    done = oper.frame.locator("#runs tbody tr").first
    done.get_by_text("done").wait_for()
    assert "1 read" in done.inner_text()
    assert site.stack.ledger.deeds("acme", subject=ONE, limit=1)[0].by == "oper"


def test_a_failed_record_is_reprocessed(site: Site, desk: Desks) -> None:
    """A record that the books refuse is listed with what to do; corrected in the source and ticked, it goes alone."""
    account, _ = site.crm.sale("Browser: North", [10])
    assert site.run(INVOICES).state == "success"
    oper = desk("oper")
    oper.open("/c/acme/records?text=Browser%3A+North&mapping=customers")
    oper.frame.get_by_role("link", name="Browser: North").first.click()
    oper.frame.get_by_text("The transaction").wait_for()
    oper.open("/c/acme/failures?text=Browser&mapping=customers")
    row = oper.frame.get_by_role("row", name=re.compile("Browser: North"))
    assert "open" in row.inner_text()
    oper.picture("failures")
    exported = oper.page.request.get("/iwmgr/c/acme/failures/customers/crm.csv")
    assert exported.ok, exported.text()
    assert account in exported.text()
    site.crm.change("Account", account, Name="Browser North")
    row.get_by_role("checkbox").check()
    oper.frame.get_by_role("button", name="Reprocess ticked").click()
    oper.frame.locator(".said.done").wait_for()
    until(lambda: _failure_state(site, account) == "reprocessed", "reprocessing", 120)
    (made,) = site.books.rows("Customer", "WHERE DisplayName = 'Browser North'")
    assert site.crm.one("Account", filter=f"Id eq {account}")["UsrQBId"] == made["Id"]
    oper.open("/c/acme/failures?state=reprocessed&text=Browser")
    assert "reprocessed by" in oper.frame.locator("tbody").first.inner_text()


def test_connections_are_tried_on_demand(desk: Desks) -> None:
    """Each connection's button says, a moment later and without a reload, whether it works."""
    oper = desk("oper")
    oper.open("/c/acme/company")
    for connection in ("acme_crm", "acme_books"):
        oper.frame.get_by_role("button", name=f"Test {connection}").click()
        oper.frame.get_by_role("row", name=re.compile(connection)).get_by_text("works").wait_for()
    oper.picture("company")


def test_a_viewer_looks_and_changes_nothing(site: Site, desk: Desks) -> None:
    """A viewer has no buttons; a form that is sent all the same is refused, and nothing happens."""
    viewer = desk("view")
    viewer.open("/c/acme")
    viewer.state(ITEMS, "STARTED")
    assert viewer.frame.get_by_role("button", name=re.compile("^(Start|Stop|Run)")).count() == 0
    script = """async path => {
        const token = new URLSearchParams({token: document.querySelector("[name=token]").value});
        return (await fetch(path, {method: "POST", body: token})).status;
    }"""
    for action in ("stop", "run", "query-starts"):
        assert (
            viewer.frame.locator("body").evaluate(f"(_, p) => ({script})(p)", f"/iwmgr/flow/acme.{ITEMS}/{action}")
            == 403
        )
    assert site.airflow.get(f"/dags/acme.{ITEMS}")["is_paused"] is False
    assert not _unfinished(site, f"acme.{ITEMS}")


def test_the_keyboard_is_enough(site: Site, desk: Desks) -> None:
    """Everything is reached with the Tab key, from the link over the navigation on, and works with the Enter key."""
    oper = desk("oper")
    oper.page.goto("/iwmgr/c/acme")
    oper.page.keyboard.press("Tab")
    assert oper.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    unnamed = oper.page.evaluate(
        """[...document.querySelectorAll("a, button, input:not([type=hidden]), select")].filter(e =>
        !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"""
    )
    assert unnamed == []
    oper.page.get_by_role("button", name=f"Stop {ITEMS}", exact=True).focus()
    oper.page.keyboard.press("Enter")
    oper.page.locator(f'#flow-{ITEMS}[data-state="STOPPED"]').wait_for()
    oper.page.get_by_role("button", name=f"Start {ITEMS}", exact=True).focus()
    oper.page.keyboard.press("Enter")
    oper.page.locator(f'#flow-{ITEMS}[data-state="STARTED"]').wait_for()
    del site


def _unfinished(site: Site, dag_id: str) -> list[str]:
    return [run["dag_run_id"] for run in site.airflow.runs(dag_id) if run["state"] in ("running", "queued")]


def _failure_state(site: Site, account: str) -> str:
    found = site.stack.ledger.failure("acme", "customers", "crm", account)
    return found.state.value if found else ""
