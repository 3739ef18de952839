"""Making a run for calls: one that takes them all, and none when one is to come."""

from __future__ import annotations

import threading

import pytest

from iw_operators.calls.waking import OVERDUE, Outcome, Waker
from iw_operators.errors import ConnectionFailure
from iw_operators.ledger.inbox import Item
from iw_operators.ledger.store import Ledger
from tests.sync.test_sync_calls import age_all

pytestmark = [pytest.mark.ledger, pytest.mark.feature("R12")]


class Runs:
    """Notes which runs were wanted; holds the first one up where it is told to."""

    def __init__(self) -> None:
        """Begin with none."""
        self.asked: list[tuple[str, frozenset[str]]] = []
        self.go = threading.Event()
        self.reached = threading.Event()
        self.go.set()

    def __call__(self, dag_id: str, mappings: set[str]) -> Outcome:
        """Make a run."""
        self.reached.set()
        assert self.go.wait(20)
        self.asked.append((dag_id, frozenset(mappings)))
        if dag_id.endswith("Broken"):
            msg = "no such table"
            raise RuntimeError(msg)
        return "triggered"


def test_a_burst_is_looked_at_once(ledger: Ledger) -> None:
    """However often it is asked while it is busy, it looks once more afterwards, with all mappings together."""
    runs = Runs()
    waker = Waker(lambda: ledger, runs)
    runs.go.clear()
    waker.wake("acme", {"Q": {"customers"}})
    assert runs.reached.wait(20)
    for mapping in ("customers", "items") * 50:
        waker.wake("acme", {"Q": {mapping}})
    runs.go.set()
    assert waker.settle()
    assert runs.asked == [("acme.Q", frozenset({"customers"})), ("acme.Q", frozenset({"customers", "items"}))]


def test_an_error_harms_nobody_else(ledger: Ledger) -> None:
    """A flow whose run cannot be made keeps no other from running, nor the next call."""
    runs = Runs()
    waker = Waker(lambda: ledger, runs)
    waker.wake("acme", {"Broken": {"m"}, "Q": {"m"}})
    assert waker.settle()
    waker.wake("acme", {"Q": {"m"}})
    assert waker.settle()
    assert [dag_id for dag_id, _ in runs.asked] == ["acme.Broken", "acme.Q", "acme.Q"]


def test_a_call_brings_back_those_that_were_missed(ledger: Ledger) -> None:
    """Calls of the company that have waited for a while without a run are looked after as well."""
    ledger.put_calls("acme", [Item("crm", "Product", "p1", "e1", "items", "ItemsQ")])
    ledger.put_calls("globex", [Item("crm", "Product", "p1", "e1", "items", "ItemsQ")])
    runs = Runs()
    waker = Waker(lambda: ledger, runs)
    waker.wake("acme", {"Q": {"customers"}})
    assert waker.settle()
    assert [dag_id for dag_id, _ in runs.asked] == ["acme.Q"]
    age_all(ledger, OVERDUE)
    waker.wake("acme", {"Q": {"customers"}})
    assert waker.settle()
    assert [dag_id for dag_id, _ in runs.asked] == ["acme.Q", "acme.Q", "acme.ItemsQ"]


def test_a_ledger_that_is_away_is_no_end(ledger: Ledger) -> None:
    """While the ledger is away no run is made; afterwards they are again."""
    there = False

    def opened() -> Ledger:
        if not there:
            raise ConnectionFailure("away")
        return ledger

    runs = Runs()
    waker = Waker(opened, runs)
    waker.wake("acme", {"Q": {"customers"}})
    assert waker.settle()
    assert runs.asked == []
    there = True
    waker.wake("acme", {"Q": {"customers"}})
    assert waker.settle()
    assert [dag_id for dag_id, _ in runs.asked] == ["acme.Q"]


def test_no_run_is_made_while_a_utility_flow_works(ledger: Ledger) -> None:
    """A bulk load brings a call for each record it writes; runs that would only be skipped are not made."""
    assert ledger.take_turn("acme", "LoadF", "r1", "utility").taken
    runs = Runs()
    waker = Waker(lambda: ledger, runs)
    waker.wake("acme", {"Q": {"customers"}})
    waker.wake("globex", {"Q": {"customers"}})
    assert waker.settle()
    assert [dag_id for dag_id, _ in runs.asked] == ["globex.Q"]
    ledger.give_turn_back("acme", "LoadF", "r1")
    waker.wake("acme", {"Q": {"customers"}})
    assert waker.settle()
    assert [dag_id for dag_id, _ in runs.asked] == ["globex.Q", "acme.Q"]
