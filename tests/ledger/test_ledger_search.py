"""Searching the record log, page by page, and how long its rows stay."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa

from iw_operators.engine.model import Action
from iw_operators.errors import ConnectionFailure
from iw_operators.ledger import search
from iw_operators.ledger.flow_tables import turn_history
from iw_operators.ledger.model import Cursor
from iw_operators.ledger.search import LogQuery
from iw_operators.ledger.store import Ledger
from iw_operators.ledger.tables import log
from iw_operators.retention import prune_due
from iw_operators.spec.models import Company, Endpoint
from tests.ledger.kit import begin, made, quiet, sent
from tests.ledger.kit import create as to_create

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R9")]

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def aged(ledger: Ledger, source_id: str, at: dt.datetime) -> None:
    """Have rows of a record been written at another time."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(log).where(log.c.source_id == source_id).values(at=at))


def ids(ledger: Ledger, **wanted: object) -> list[str]:
    """Return the records whose rows are found."""
    return [row.source_id for row in ledger.log(company="acme", **wanted)]  # type: ignore[arg-type]  # of several types


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Return a ledger with rows of two flows, on three days."""
    run = begin(ledger)
    ledger.record(run, [quiet(Action.UNCHANGED, "a", label="Ann"), quiet(Action.SKIP, "b", label="Bob")])
    ledger.record(begin(ledger, flow="Other", mapping="items", source="books"), [quiet(Action.REJECT, "c", code="x.1")])
    for days, each in enumerate("cba"):
        aged(ledger, each, NOW - dt.timedelta(days=days))
    return ledger


def test_rows_are_found_by_everything_that_a_row_says(filled: Ledger) -> None:
    """Flow, run, mapping, side, record, state, code, text and time; the newest first."""
    assert ids(filled) == ["c", "b", "a"]
    assert ids(filled, flow="Other") == ["c"]
    assert ids(filled, run_id=1) == ["b", "a"]
    assert ids(filled, mapping="customers") == ["b", "a"]
    assert ids(filled, side="books") == ["c"]
    assert ids(filled, source_id="b") == ids(filled, source_id="b", mapping="customers") == ["b"]
    assert ids(filled, source_id="b", mapping="items") == []
    assert ids(filled, action="unchanged") == ["a"]
    assert ids(filled, action=Action.SKIP) == ["b"]
    assert ids(filled, code="x.1") == ["c"]
    assert ids(filled, text="BO") == ["b"]
    assert ids(filled, since=NOW - dt.timedelta(days=1)) == ["c", "b"]
    assert ids(filled, until=NOW - dt.timedelta(days=1)) == ["a"]
    assert ids(filled, since=NOW - dt.timedelta(days=1), until=NOW) == ["b"]
    assert ids(filled, source_id="a\x00") == []
    assert filled.log_row("acme", 1) is not None
    assert filled.log_row("globex", 1) is None


def test_pages_follow_one_another_without_gap_or_repetition(ledger: Ledger) -> None:
    """However many rows have the same time; the end says that there is no more."""
    ledger.record(begin(ledger), [quiet(Action.SKIP, f"s{number}") for number in range(7)])
    seen: list[str] = []
    before: Cursor | None = None
    while True:
        page = ledger.log_page("acme", limit=3, before=before)
        seen += [row.source_id for row in page.rows]
        if page.before is None:
            break
        before = Cursor.of(str(page.before))
    assert seen == [f"s{number}" for number in reversed(range(7))]


def test_a_search_that_no_index_serves_says_how_far_it_has_looked(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page looks through so many rows and no more; the next one goes on there, and the whole log is found."""
    monkeypatch.setattr(search, "SLICE", 4)
    monkeypatch.setattr(search, "BUDGET", 8)
    rows = [quiet(Action.SKIP, f"s{number}", label="rare" if number == 1 else "usual") for number in range(20)]
    ledger.record(begin(ledger), rows)
    query = LogQuery("acme", text="RARE")
    first = ledger.log_page("acme", query)
    assert (first.rows, first.before is None) == ((), False)
    second = ledger.log_page("acme", query, before=first.before)
    assert second.rows == ()
    third = ledger.log_page("acme", query, before=second.before)
    assert ([row.source_id for row in third.rows], third.before) == (["s1"], None)
    assert ids(ledger, text="rare") == ["s1"]
    assert ids(ledger, text="usual", limit=6) == [f"s{number}" for number in range(19, 13, -1)]
    page = ledger.log_page("acme", LogQuery("acme", text="usual"), limit=3)
    assert [row.source_id for row in page.rows] == ["s19", "s18", "s17"]
    after = ledger.log_page("acme", LogQuery("acme", text="usual"), limit=2, before=page.before)
    assert [row.source_id for row in after.rows] == ["s16", "s15"]


def test_a_query_about_another_company_is_refused(ledger: Ledger) -> None:
    """So that a page that checks the company's name cannot be led to another one's rows."""
    with pytest.raises(ValueError, match="another company"):
        ledger.log_page("acme", LogQuery("globex"))


@pytest.mark.parametrize("text", ["", "2026-11-20T12:00:00+00:00", "2026-11-20T12:00:00_1", "x_1", "_"])
def test_a_cursor_of_anything_else_is_refused(text: str) -> None:
    """What comes in over a page's address may be anything."""
    with pytest.raises(ValueError, match=r"isoformat|zone|invalid literal"):
        Cursor.of(text)


def test_a_record_has_a_history_on_its_own_side(ledger: Ledger) -> None:
    """All of its rows, of every run and flow, and none of a record of the other side with the same id."""
    made(ledger, begin(ledger), "7")
    ledger.record(begin(ledger, dag_run_id="r2", flow="Back", source="books"), [quiet(Action.UNCHANGED, "7")])
    ledger.record(begin(ledger, dag_run_id="r3"), [quiet(Action.SKIP, "7")])
    history = ledger.record_history("acme", "customers", "crm", "7")
    assert [row.action for row in history] == [Action.SKIP, Action.CREATE]


def company(days: int) -> Company:
    """Return a company that keeps rows so long."""
    ends = Endpoint(system="alpha", connection="a"), Endpoint(system="beta", connection="b")
    return Company(company="acme", crm=ends[0], books=ends[1], log_days=days)


def test_rows_go_once_a_day_after_log_days(filled: Ledger) -> None:
    """Nothing is done before the oldest row is a day too old; then all that are too old go, of this company."""
    assert prune_due(filled, company(2), NOW + dt.timedelta(hours=23)) == 0
    assert ids(filled) == ["c", "b", "a"]
    assert prune_due(filled, company(2), NOW + dt.timedelta(days=1, hours=1)) == 2
    assert ids(filled) == ["c"]
    assert prune_due(filled, company(2), NOW + dt.timedelta(days=1, hours=2)) == 0


def test_what_is_open_stays_however_old_it_is(ledger: Ledger) -> None:
    """Failures that are open or given up, bindings, and what is in doubt; settled failures and past turns go."""
    run = begin(ledger)
    made(ledger, run, "bound")
    ledger.record(run, [quiet(Action.REJECT, each, code="x") for each in ("open", "given", "settled")])
    ledger.give_up("acme", "customers", "crm", ["given"], by="Ann", why="never")
    ledger.record(run, [quiet(Action.SKIP, "settled")])
    sent(ledger, run, [to_create("doubt")], key="b9")
    turn = {"company": "acme", "flow": "F", "dag_run_id": "r", "role": "scheduled", "taken_at": NOW, "ended_at": NOW}
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(turn_history).values(**turn, how="given back"))
    assert prune_due(ledger, company(1), dt.datetime.now(dt.UTC) + dt.timedelta(days=3)) == 5
    left = {each.source_id: each.state.value for each in ledger.failures("acme")}
    assert left == {"open": "open", "given": "given up"}
    assert ledger.references("acme", "customers", "crm", ["bound"]) == {"bound": "Tbound"}
    assert len(ledger.open_batches("acme", "customers")) == 1
    with ledger.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(turn_history)) == 0


def test_a_ledger_that_is_away_does_not_fail_the_run_that_prunes(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run prunes."""

    def away(_: str) -> None:
        raise ConnectionFailure("gone")

    monkeypatch.setattr(ledger, "oldest_row", away)
    assert prune_due(ledger, company(1), NOW) == 0
